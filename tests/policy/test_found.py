"""What `init` finds in trees that imitate the kinds of repositories people have; every tree is made up."""

import time

import pytest

from homelab.policy.found import folders, gather
from homelab.policy.found.infrastructure import KUSTOMIZE
from homelab.policy.found.python import PYTEST
from homelab.policy.tree import Tree
from tests.support.world import World

Files = dict[str, str | bytes]

INIT = "terraform init -backend=false -input=false"
TRUSTING = f"TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE=1 {INIT}"
STACK = f"terraform fmt -check -recursive . && {TRUSTING} && terraform validate"
CACHE = (
    'export TF_PLUGIN_CACHE_DIR="$(git rev-parse --show-toplevel)/../.terraform-plugins" && mkdir -p "$TF_PLUGIN_CACHE_DIR" && '
)
SHELLCHECK = "git ls-files -z '*.sh' '*.bash' | xargs -0 shellcheck"
OUTPUT = 'output "a" {\n  value = 1\n}\n'
PRE_COMMIT = "repos:\n- repo: https://example.org/x\n  rev: v1\n  hooks:\n  - id: ruff\n"


def found(world: World, files: Files) -> gather.Found:
    """Return what is found in a commit of nothing but these files."""
    world.git("rm", "-rq", "--cached", ".")
    world.git("clean", "-fdxq")
    objects = world_objects(world)
    return gather.find(Tree(objects, objects.commit(world.commit(files)).tree))


def world_objects(world: World):  # type: ignore[no-untyped-def]
    """Return the objects of the clone."""
    from homelab.git.repository import discover

    return discover(world.clone).objects


def rows(seen: gather.Found) -> list[tuple[str, str, str]]:
    """Return name, place and command of each finding; what is off has ``off:`` in front of its name."""
    return [(f"{'off:' if each.off else ''}{each.tool}", each.each or each.dir, each.run) for each in seen.findings]


KINDS: list[tuple[str, Files, list[tuple[str, str, str]]]] = [
    (
        "terraform stacks, formatted or not",
        {f"stacks/{name}/main.tf": OUTPUT for name in "abc"},
        [("stack", "stacks/*", STACK)],
    ),
    (
        "stacks whose lock files are kept",
        {f"stacks/{name}/{file}": "" for name in "ab" for file in ("main.tf", ".terraform.lock.hcl")},
        [("stack", "stacks/*", f"terraform fmt -check -recursive . && {INIT} -lockfile=readonly && terraform validate")],
    ),
    (
        "stacks on two levels",
        {f"live/{env}/{name}/main.tf": OUTPUT for env in ("dev", "test", "prod") for name in "ab"},
        [("live", "live/*/*", STACK)],
    ),
    (
        "a module with examples",
        {"main.tf": OUTPUT, "examples/a/main.tf": 'module "a" {\n  source = "../../"\n}\n', "examples/b/main.tf": OUTPUT},
        [
            ("terraform", ".", f"terraform fmt -check && {INIT} && terraform validate"),
            (
                "example", "examples/*",
                CACHE + STACK,
            ),
        ],
    ),
    (
        "terragrunt alone",
        {"root.hcl": "", "live/a/terragrunt.hcl": "", "live/b/terragrunt.hcl": ""},
        [("terragrunt", ".", "terragrunt hcl fmt --check")],
    ),
    (
        "encrypted variables",
        {".gitattributes": "*.tfvars filter=git-crypt diff=git-crypt\n", "a/main.tf": OUTPUT, "a/x.tfvars": "secret"},
        [
            (
                "a", "a",
                "find . -name '*.tf' -not -path '*/.terraform/*' -exec terraform fmt -check {} +"
                f" && {INIT} && terraform validate",
            )
        ],
    ),
    (
        "ciphertext",
        {"a/main.tf": OUTPUT, "a/x.tfvars": b"\0GITCRYPT\0\1\2"},
        [
            (
                "a", "a",
                "find . -name '*.tf' -not -path '*/.terraform/*' -exec terraform fmt -check {} +"
                f" && {INIT} && terraform validate",
            )
        ],
    ),
    ("go below the root", {"cli/go.mod": "", "cli/testdata/x/go.mod": "module y\n"}, [("cli", "cli", "go test ./...")]),
    (
        "terratest",
        {"test/go.mod": "require github.com/gruntwork-io/terratest v0.1.0\n", "test/Makefile": "test:\n\tgo test .\n"},
        [("off:test", "test", "make test"), ("off:test-go", "test", "go test ./...")],
    ),
    (
        "cargo",
        {"Cargo.toml": "[workspace]\n", "a/Cargo.toml": "[package]\n"},
        [
            ("cargo", ".", "cargo test"),
            ("cargo-clippy", ".", "cargo clippy --all-targets"),
            ("cargo-fmt", ".", "cargo fmt --all --check"),
        ],
    ),
    (
        "npm, in the root and below it",
        {
            "package.json": '{"scripts": {"test": "node --test", "lint": "eslint .", "lint:fix": "x --fix .", "deploy": "x"}}',
            "web/package.json": '{"scripts": {"test": "vitest run"}, "devDependencies": {"vitest": "1"}}',
            "web/pnpm-lock.yaml": "",
        },
        [
            ("npm", ".", "npm test"),
            ("npm-lint", ".", "npm run lint"),
            ("web", "web", "pnpm install --frozen-lockfile && pnpm test"),
        ],
    ),
    ("tests of Python without a manifest", {"app/files/test_a.py": "", "app/files/a.py": ""}, [("files", "app/files", PYTEST)]),
    ("tests beside what they test", {"lib/a/tests/test_a.py": "", "lib/a/pyproject.toml": ""}, [("a", "lib/a", PYTEST)]),
    ("tox by pyproject", {"pyproject.toml": "[tool.tox]\nenv_list = ['py']\n", "tests/test_a.py": ""}, [("tox", ".", "tox")]),
    ("uv", {"pyproject.toml": "", "uv.lock": "", "tests/test_a.py": ""}, [("pytest", ".", "uv run pytest")]),
    (
        "hatch",
        {"pyproject.toml": "[tool.hatch.envs.default.scripts]\ntest = 'pytest'\n", "tests/test_a.py": ""},
        [("pytest", ".", "hatch run test")],
    ),
    (
        "hatch's environments",
        {"pyproject.toml": "[tool.hatch.envs.unit]\ndependencies = ['pytest-cov']\n", "tests/test_a.py": ""},
        [("pytest", ".", "hatch run unit:pytest")],
    ),
    ("tox by setup.cfg, below the root", {"lib/setup.cfg": "[tox:tox]\nenvlist = py\n"}, [("lib", "lib", "tox")]),
    (
        "a package manager by its name",
        {"web/package.json": '{"scripts": {"test": "x"}, "dependencies": {"a": "1"}, "packageManager": "pnpm@9.1.0+sha512.x"}'},
        [("web", "web", "pnpm install && pnpm test")],
    ),
    ("rspec by its specs", {"Gemfile": "", "spec/models/a_spec.rb": ""}, [("ruby", ".", "bundle exec rspec")]),
    (
        "Ruby",
        {"Gemfile": "", ".rspec": "", ".rubocop.yml": ""},
        [("ruby", ".", "bundle exec rspec"), ("rubocop", ".", "bundle exec rubocop")],
    ),
    (
        "a Makefile that asks a cluster, and hooks beside it",
        {
            "Makefile": "export KUBECONFIG = x\ntest:\n\tgo test ./e2e\nlint:\n\tyamllint .\ndeploy:\n\tkubectl apply -f .\n",
            ".pre-commit-config.yaml": PRE_COMMIT,
        },
        [
            ("off:make", ".", "make test"),
            ("make-lint", ".", "make lint"),
            ("pre-commit", ".", "pre-commit run --all-files"),
        ],
    ),
    (
        "a goal that runs others stands for them",
        {"Makefile": "check: lint\n\tgo test ./...\nlint:\n\tyamllint .\ntest:\n\tgo test ./...\n", "go.mod": "",
         ".yamllint": ""},
        [("make", ".", "make check")],
    ),
    (
        "just, Task and mise",
        {
            "justfile": "lint:\n  yamllint .\napply:\n  terragrunt apply\ntest: apply\n  true\n",
            "ops/Taskfile.yml": "tasks:\n  test: {cmds: [go vet ./...]}\n  validate: {cmds: [kubectl apply -f x]}\n",
            "mise.toml": "[tasks]\ncheck = 'taplo lint'\n",
        },
        [("just-lint", ".", "just lint"), ("ops", "ops", "task test"), ("mise", ".", "mise run check")],
    ),
    (
        "lefthook and worktrunk",
        {
            "lefthook.yml": "pre-commit:\n  commands:\n    lint: {run: yamllint .}\n",
            ".config/wt.toml": "[[pre-merge]]\ninsta = 'cargo test'\nship = 'cargo publish'\n",
        },
        [("lefthook", ".", "lefthook run pre-commit --all-files"), ("insta", ".", "cargo test")],
    ),
    (
        "lefthook before a push",
        {"lefthook.yml": "pre-commit: {jobs: [{run: yamllint .}]}\npre-push: {commands: {a: {run: go test ./...}}}\n"},
        [("lefthook", ".", "lefthook run pre-commit --all-files"),
         ("lefthook-pre-push", ".", "lefthook run pre-push --all-files")],
    ),
    (
        "lefthook with the gate in it",
        {"lefthook.yml": "pre-push: {commands: {a: {run: go test ./...}, b: {run: homelab-verified-push}}}\n"},
        [],
    ),
    (
        "the first of many stacks",
        {"stacks/a/main.tf": OUTPUT, "other/a/main.tf": OUTPUT},
        [("stack", "stacks/*", STACK.replace(TRUSTING, INIT)), ("a", "other/a", STACK.replace(TRUSTING, INIT))],
    ),
    (
        "CI's validate without its init",
        {".woodpecker.yml": "steps: [{commands: [cd a, terraform init -backend=false, terraform validate -no-color]}]\n",
         "a/main.tf": OUTPUT},
        [("a", "a", STACK.replace(TRUSTING, INIT))],
    ),
    ("shellcheck below the root", {"ops/.shellcheckrc": "", "ops/x/a.sh": "", "b.sh": ""}, [("ops", "ops", SHELLCHECK)]),
    ("shellcheck twice", {"ops/.shellcheckrc": "", ".shellcheckrc": "", "ops/a.sh": ""}, [("shellcheck", ".", SHELLCHECK)]),
    (
        "linters",
        {".yamllint.yaml": "", "ansible/.ansible-lint": "", ".tflint.hcl": "", "a.sh": "#!/bin/sh\n", ".shellcheckrc": ""},
        [
            ("yamllint", ".", "yamllint ."),
            ("ansible", "ansible", "ansible-lint"),
            ("tflint", ".", "tflint --recursive"),
            ("shellcheck", ".", SHELLCHECK),
        ],
    ),
    (
        "charts, kustomizations, compose files and a flake",
        {
            **{f"charts/{name}/Chart.yaml": "name: x\n" for name in "ab"},
            **{f"apps/{name}/kustomization.yaml": "" for name in "ab"},
            **{f"hosts/{name}/docker-compose.yml": "services: {}\n" for name in "ab"},
            "tasks/docker-compose.yml": "- name: Install compose\n",
            "flake.nix": "",
        },
        [
            ("helm", "charts/*", "helm lint ."),
            ("kustomize", "apps/*", f"{KUSTOMIZE} . > /dev/null"),
            ("compose", "hosts/*", "docker compose config --quiet"),
            ("nix", ".", "nix flake check"),
        ],
    ),
    (
        "tests that are scripts",
        {"ops/tests/test_a.sh": "#!/bin/bash\ntrue\n", "ops/tests/test_b.sh": "kubectl delete pod x\n", "t/a.bats": ""},
        [
            ("ops", "ops", 'for t in test_a.sh; do echo "$t"; bash "./tests/$t" || exit 1; done'),
            ("bats", ".", "bats t"),
        ],
    ),
    (
        "CI's commands before customs",
        {
            ".github/workflows/ci.yml": "on: [push]\njobs: {a: {steps: [{run: make -C web test}, "
            "{run: cargo test --locked}]}}\n",
            "web/Makefile": "test:\n\tnpm test\n",
            "web/package.json": '{"scripts": {"test": "node --test"}}',
            "Cargo.toml": "",
        },
        [
            ("make", ".", "make -C web test"),
            ("cargo", ".", "cargo test --locked"),
            ("cargo-clippy", ".", "cargo clippy --all-targets"),
            ("cargo-fmt", ".", "cargo fmt --all --check"),
        ],
    ),
    ("nothing", {"README": "", "vendor/x/go.mod": "", "node_modules/x/package.json": '{"scripts": {"test": "x"}}'}, []),
]  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_a_kind_of_repository_shows_what_its_people_run(
    world: World, files: Files, expected: list[tuple[str, str, str]]
) -> None:
    assert sorted(rows(found(world, files))) == sorted(expected)


def test_a_script_that_tests_is_found_in_every_folder(world: World) -> None:
    found(
        world,
        dict.fromkeys(("svc/bin/test", "svc/script/test", "web/script/test", "bin/test", "x/bin/test"), "#!/bin/sh\n"),
    )
    world.git("update-index", "--chmod=+x", "svc/bin/test", "svc/script/test", "web/script/test", "bin/test")
    world.git("commit", "-qm", "executable")
    objects = world_objects(world)
    seen = gather.find(Tree(objects, objects.commit(world.git("rev-parse", "HEAD")).tree))
    assert rows(seen) == [("test", ".", "bin/test"), ("svc", "svc", "bin/test"), ("web", "web", "script/test")]


def test_a_stack_depends_on_what_it_names(world: World) -> None:
    seen = found(
        world,
        {
            "root.hcl": "",
            "modules/dns/main.tf": 'module "x" {\n  source = "../base"\n}\n',
            "modules/base/main.tf": OUTPUT,
            "modules/other/main.tf": OUTPUT,
            "stacks/a/main.tf": 'module "dns" {\n  source = "../../modules/dns"\n}\n',
            "stacks/a/terragrunt.hcl": 'include "root" {\n  path = find_in_parent_folders("root.hcl")\n}\n',
            "stacks/b/main.tf": OUTPUT,
        },
    )
    stack = next(each for each in seen.findings if each.each == "stacks/*")
    assert stack.inputs == ("modules/base", "modules/dns", "root.hcl")
    assert stack.caches == (), "what is in a checkout is emptied before every run"


def test_variables_that_are_links_out_of_the_tree_are_not_formatted(world: World) -> None:
    link = world.clone / "envs/dev/common.auto.tfvars"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../common.tfvars")
    world.git("add", "--all")
    objects = world_objects(world)
    runs = []
    for files in ({"envs/dev/main.tf": OUTPUT}, {"common.tfvars": "a = 1\n"}):
        tree = Tree(objects, objects.commit(world.commit(files)).tree)
        runs += [each.run for each in gather.find(tree).findings if each.dir == "envs/dev"]
    assert [run.split()[0] for run in runs] == ["find", "terraform"]


def test_a_folder_depends_on_what_it_names_above_itself(world: World) -> None:
    seen = found(
        world,
        {
            "go.work": "", "lib/go.mod": "", "cli/go.mod": "module x\nreplace y => ../lib\n",
            "a/Makefile": "test:\n\tcat ../cli/x\n",
            "b/Makefile": 'test:\n\tcd "$$(git rev-parse --show-toplevel)" && true\n', "cli/x": "",
        },
    )  # fmt: skip
    inputs = {each.dir: each.inputs for each in seen.findings}
    assert inputs == {"lib": ("lib", "go.work"), "cli": ("cli", "go.work", "lib"), "a": ("a", "cli/x"), "b": None}


def test_a_checkout_gets_what_every_command_needs(world: World) -> None:
    from homelab.policy.found.finding import preparation

    seen = found(
        world,
        {
            "package.json": '{"scripts": {"test": "x", "lint": "y"}, "dependencies": {"a": "1"}}', "package-lock.json": "{}",
            "Makefile": "check:\n\tnpm run lint && npm test\n", "tox.toml": "", "Gemfile": "",
            "Rakefile": "Rake::TestTask.new\n",
        },
    )  # fmt: skip
    made = preparation(seen.findings)
    assert made.prepare == "npm ci && bundle config set --local path vendor/bundle && bundle install"
    assert made.prepare_inputs == ("package.json", "package-lock.json", "Gemfile")
    assert set(made.caches) == {"node_modules", "vendor/bundle", ".bundle"}, "what nothing prepares is emptied before every run"


APPLY = "kubectl apply -f ."
LOCAL = "repos:\n- repo: local\n  hooks: [{id: x, name: x, language: system, entry: %s}]\n"
NOX = "import nox\n{}@nox.session\ndef tests(s):\n  s.run('pytest')\n@nox.session\ndef out(s):\n  s.run('twine', 'upload', x)\n"
RAKE = "task :%s do\n  sh '%s'\nend\ntask :other do\n  sh 'kubectl apply -f .'\nend\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({".pre-commit-config.yaml": LOCAL % APPLY}, []),
        ({".pre-commit-config.yaml": LOCAL % "./x.sh", "x.sh": f"#!/bin/sh\n{APPLY}\n"}, []),
        ({".pre-commit-config.yaml": LOCAL % "kubectl get nodes"}, [("off:pre-commit", ".", "pre-commit run --all-files")]),
        ({"Taskfile.yml": "includes: {x: ./x}\ntasks: {test: {cmds: [{task: 'x:up'}]}}\n",
          "x/Taskfile.yml": f"includes: {{y: ..}}\ntasks: {{up: {{deps: [all]}}, all: {{cmds: [{APPLY}]}}}}\n"}, []),
        ({"tox.ini": f"[tox]\nenvlist = py,out\n[testenv:out]\ncommands =\n  - {APPLY}\n"}, []),
        ({"tox.ini": f"[tox]\nenvlist = py\n[testenv]\ncommands = pytest {{posargs}}\n[testenv:out]\ncommands = {APPLY}\n"},
         [("tox", ".", "tox")]),
        ({"tox.toml": "env_list = ['a']\n[env.a]\ncommands = [['kubectl', 'apply', '-f', '.']]\n"}, []),
        ({"pyproject.toml": f"[tool.tox]\nlegacy_tox_ini = '''\n[testenv]\ncommands = {APPLY}\n'''\n"}, []),
        ({"noxfile.py": NOX.format("")}, []), ({"noxfile.py": "def ("}, [("nox", ".", "nox")]),
        ({"noxfile.py": NOX.format("nox.options.sessions = ['tests']\n")}, [("nox", ".", "nox")]),
        ({"noxfile.py": NOX.format("").replace("session\ndef out", "session(default=False)\ndef out")}, [("nox", ".", "nox")]),
        ({"Gemfile": "", "Rakefile": RAKE % ("test", APPLY)}, []),
        ({"Gemfile": "", "Rakefile": RAKE % ("test", "ruby a.rb")}, [("ruby", ".", "bundle exec rake test")]),
        ({"t/a.bats": f'@test "x" {{\n  run {APPLY}\n}}\n'}, []),
        ({"t/a.bats": f"@test x {{ run -0 {APPLY}; }}\n"}, []),
        ({"t/a.bats": '@test "x" {\n  run ./deploy.sh\n}\n'}, [("bats", ".", "bats t")]),
        ({"test_a.py": 'import os\nA = os.environ["KUBECONFIG"]\n'}, [("off:pytest", ".", PYTEST)]),
        ({"test_a.py": 'import os\nos.environ["API_TOKEN"] = "x"\nB = os.environ["HOME"]\n'}, [("pytest", ".", PYTEST)]),
        ({"test_a.py": 'pytestmark = pytest.mark.skipif("A" not in x)\nA = os.environ["KUBECONFIG"]\n'},
         [("pytest", ".", PYTEST)]),
        ({"tox.toml": "", "tests/conftest.py": "config.load_kube_config()\n", "tests/test_a.py": ""},
         [("off:tox", ".", "tox")]),
        ({"go.mod": "", "a_test.go": 'var a = os.Getenv("VAULT_TOKEN")\n'}, [("off:go", ".", "go test ./...")]),
        ({"go.mod": "", "a_test.go": '//go:build live\nvar a = os.Getenv("VAULT_TOKEN")\n'}, [("go", ".", "go test ./...")]),
        ({"Makefile": "test:\n\tpytest tests/e2e\n"}, [("off:make", ".", "make test")]),
        ({"Makefile": "test:\n\tpytest -m 'not e2e'\n"}, [("make", ".", "make test")]),
    ],
)  # fmt: skip
def test_what_deploys_is_not_proposed_and_what_asks_a_live_system_is_off(
    world: World, files: Files, expected: list[tuple[str, str, str]]
) -> None:
    assert sorted(rows(found(world, files))) == sorted(expected)


def test_hooks_that_run_a_goal_leave_no_suite_of_their_own(world: World) -> None:
    files: Files = {"lefthook.yml": "pre-push: {jobs: [{run: make test}]}\n", "Makefile": "test:\n\tgo vet ./...\n"}
    assert rows(found(world, files)) == [("make", ".", "make test")]


def test_what_deploys_is_passed_over_and_named(world: World) -> None:
    seen = found(world, {".woodpecker.yml": "steps: [{name: go live, image: x, commands: [terragrunt apply]}]\n"})
    assert (seen.findings, seen.passed_over) == ((), (".woodpecker.yml, step go live",))


def test_folders_of_one_kind_are_one_pattern() -> None:
    every = ["a", "a/1", "a/2", "a/3", "b", "b/1", "b/2", "b/3", "b/4", "b/5", "c"]
    assert folders.patterns(["a/1", "a/2", "a/2/x", "b/1", "b/2", "c"], every) == [
        ("a/*", ["a/1", "a/2"]), (None, ["b/1"]), (None, ["b/2"]), (None, ["c"]),
    ]  # fmt: skip


@pytest.mark.slow
def test_twenty_thousand_files_are_looked_at_in_a_second(world: World) -> None:
    files: Files = {f"stacks/s{n}/main.tf": f'module "a" {{\n  source = "../../modules/m{n % 9}"\n}}\n' for n in range(1000)}
    files |= {f"modules/m{n}/main.tf": OUTPUT for n in range(9)}
    files |= {f"src/p{n // 100}/f{n}.py": f"{n}\n" for n in range(19_000)}
    world.write(files)
    world.git("add", "-A")
    world.git("commit", "-qm", "many")
    world.git("repack", "-adq")
    objects = world_objects(world)
    tree = Tree(objects, objects.commit(world.git("rev-parse", "HEAD")).tree)
    begun = time.process_time()
    seen = gather.find(tree)
    assert [each.each for each in seen.findings] == ["modules/*", "stacks/*"]
    assert time.process_time() - begun < 2  # one on a machine that does nothing else
