"""Small repositories that imitate the layouts which people have, each with what `homelab init` has to make of it.

Every one has the shape of public repositories: which files are where, what runs them, what is there besides. What is installed
runs for real; what is not is told, by the words that are given here. None of them needs a network.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.world import BIN

Files = dict[str, str | bytes]

#: Programs that no layout may find, wherever they are installed: what is told of a missing one is looked at.
ABSENT = frozenset(
    "go cargo rustup helm kustomize nix docker podman terragrunt tofu tflint mise uv nox hatch poetry pdm pnpm yarn bun bundle "
    "ruby rake rspec bats flate gotestsum kubectl golangci-lint npx".split()
)


@dataclass(frozen=True)
class Layout:
    """A repository, what is in force after `init --yes`, and what the landing of a change in it runs."""

    files: Files
    #: The names of the suites in force, in the order of the file.
    suites: tuple[str, ...]
    #: A change that the suites are green for, and the labels of what runs for it; all else is remembered.
    change: Files
    ran: tuple[str, ...]
    #: Suites that are written switched off, each with words of the reason.
    off: Mapping[str, str] = field(default_factory=dict)
    #: Words that `init` says besides, and words that are nowhere in the file it writes.
    told: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()
    #: Labels of what is red on the target and stays so.
    red: tuple[str, ...] = ()
    #: Files of the commit that are executable.
    executable: tuple[str, ...] = ()
    #: Programs that run in it and that the `dev` extra does not bring.
    needs: tuple[str, ...] = ()
    #: What a person says decides, where nothing that is found can run here.
    said: str = ""


def toolbox(folder: Path) -> str:
    """Return a PATH of one folder that has all programs of this machine but those that are to be absent."""
    folder.mkdir()
    for place in (str(BIN), *os.environ["PATH"].split(":")):
        for program in os.scandir(place) if Path(place).is_dir() else ():
            link = folder / program.name
            if program.name not in ABSENT and not link.is_symlink() and os.access(program.path, os.X_OK):
                link.symlink_to(program.path)
    return str(folder)


OUTPUT = 'output "a" {\n  value = 1\n}\n'
UNTIDY = 'output "a" {\n    value = 1\n}\n'
MODULE = 'module "m" {\n  source = "../../modules/m"\n}\n'
TEST = "def test_it():\n    assert True\n"
PLAYBOOK = (
    "---\n- name: Greet\n  hosts: all\n  tasks:\n    - name: Say hello\n      ansible.builtin.debug:\n        msg: Hello\n"
)
LOCAL_HOOK = (
    "repos:\n  - repo: local\n    hooks:\n      - {id: tidy, name: tidy, language: system, entry: grep -q ., types: [text]}\n"
)
REMOTE_HOOK = "repos:\n  - repo: https://forge.invalid/hooks\n    rev: v1\n    hooks:\n      - id: terraform_fmt\n"
DEPENDENCY: Files = {
    "package-lock.json": '{"name": "a", "lockfileVersion": 3, "packages": {"": {"name": "a", "dependencies": '
    '{"dep": "file:dep"}}, "dep": {}, "node_modules/dep": {"resolved": "dep", "link": true}}}',
    "dep/package.json": '{"name": "dep", "main": "a.js"}',
    "dep/a.js": "",
    ".gitignore": "node_modules\n",
}
NODE_TEST = "require('dep'); require('node:test')('a', () => {})\n"
TOX = "skip_install = true\ncommands = python -c 'print(1)'\n"

LAYOUTS: dict[str, Layout] = {
    "terraform stacks of which one is not formatted": Layout(
        {
            **{f"stacks/{name}/main.tf": OUTPUT for name in "abc"},
            "stacks/old/main.tf": UNTIDY,
            "stacks/uses/main.tf": MODULE,
            "modules/m/main.tf": OUTPUT,
            "stacks/a/.terraform.lock.hcl": "",
        },
        ("m", "stack"),
        {"stacks/b/main.tf": OUTPUT + 'output "b" {\n  value = 2\n}\n'},
        ("stack (stacks/b)",),
        red=("stack (stacks/old)",),
        told=("stack: red in 1 of 5 folders",),
        needs=("terraform",),
    ),
    "a terraform module with examples, bats and the hooks of another repository": Layout(
        {
            "main.tf": OUTPUT,
            "examples/complete/main.tf": 'module "this" {\n  source = "../../"\n}\n',
            "examples/small/main.tf": 'terraform {\n  required_providers {\n    x = {\n      source = "forge.invalid/x/x"\n'
            "    }\n  }\n}\n",
            ".pre-commit-config.yaml": REMOTE_HOOK,
            "test/module.bats": "@test 'a' { true; }\n",
            "test/go.mod": "module x\nrequire github.com/gruntwork-io/terratest v0.1.0\n",
        },
        ("example", "terraform"),
        {"examples/small/main.tf": OUTPUT},
        ("terraform", "example (examples/small)"),
        off={"pre-commit": "network", "bats": "bats is not installed", "test": "real infrastructure"},
        needs=("terraform",),
    ),
    "terragrunt alone": Layout(
        {
            "root.hcl": "",
            **{f"live/{env}/{name}/terragrunt.hcl": "" for env in ("dev", "prod") for name in ("db", "web")},
            ".tflint.hcl": "",
        },
        ("check",),
        {"live/dev/db/terragrunt.hcl": "# mine\n"},
        ("check",),
        off={"terragrunt": "terragrunt is not installed", "tflint": "tflint is not installed"},
        said="test -s live/dev/db/terragrunt.hcl -o ! -s root.hcl",
    ),
    "GitOps with kustomizations, Task, mise and lefthook by a remote": Layout(
        {
            **{f"apps/{name}/kustomization.yaml": "resources: []\n" for name in "abc"},
            "lefthook.yml": "remotes:\n  - git_url: https://forge.invalid/hooks\n",
            "Taskfile.yaml": "version: '3'\ntasks:\n  lint: {cmds: [yamllint -d relaxed .]}\n"
            "  apply: {cmds: [kubectl apply -k apps]}\n",
            ".mise.toml": "[tasks]\ntest = 'node --test'\nreconcile = 'flux reconcile'\n",
            ".github/workflows/flate.yaml": "on: pull_request\njobs: {test: {steps: [{run: flate test all}, "
            "{run: kubectl apply -k x}]}}\n",
        },
        ("task-lint",),
        {"apps/a/kustomization.yaml": "resources: []\nnamespace: a\n"},
        ("task-lint",),
        off={"kustomize": "kubectl is not installed", "mise": "mise is not installed", "lefthook": "another repository"},
        told=(".github/workflows/flate.yaml, step test/2",),
        unwritten=("task apply", "reconcile", "kubectl apply"),
    ),
    "a cluster's tests in a Makefile beside pre-commit": Layout(
        {
            "Makefile": ".PHONY: test\ntest:\n\tmake -C test\nsmoke:\n\tkubectl get pods\n",
            "test/Makefile": "default:\n\tgotestsum --format testname -- -timeout 30m\nintegration:\n\tkubectl wait x\n",
            "test/go.mod": "module x\nrequire github.com/gruntwork-io/terratest v0.1.0\n",
            ".pre-commit-config.yaml": LOCAL_HOOK,
            "metal/playbook.yml": PLAYBOOK,
        },
        ("pre-commit",),
        {"metal/playbook.yml": PLAYBOOK + "# more\n"},
        ("pre-commit",),
        off={"make": "gotestsum is not installed", "test": "real infrastructure"},
    ),
    "charts, compose files and a flake": Layout(
        {
            **{f"charts/{name}/Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: 0.1.0\n" for name in "ab"},
            "hosts/nas/compose.yaml": "services: {}\n",
            "flake.nix": "{ outputs = _: { }; }\n",
            ".yamllint.yaml": "extends: relaxed\n",
        },
        ("yamllint",),
        {"charts/a/Chart.yaml": "apiVersion: v2\nname: a\nversion: 0.2.0\n"},
        ("yamllint",),
        off={"helm": "helm is not installed", "nas": "docker is not installed", "nix": "nix is not installed"},
    ),
    "playbooks under ansible-lint": Layout(
        {".ansible-lint": "---\nprofile: basic\noffline: true\n", "site.yml": PLAYBOOK, ".yamllint": "---\nextends: relaxed\n"},
        ("yamllint", "ansible-lint"),
        {"site.yml": PLAYBOOK.replace("Hello", "Good day")},
        ("yamllint", "ansible-lint"),
    ),
    "dotfiles: shell, shellcheck and tests that are scripts": Layout(
        {
            ".shellcheckrc": "shell=sh\n",
            "install.sh": "#!/bin/sh\necho ready\n",
            "bin/greet.sh": "#!/bin/sh\necho \"$1\"\n",
            "tests/test_greet.sh": "#!/bin/sh\ntest \"$(sh bin/greet.sh a)\" = a\n",
        },
        ("shellcheck", "shell"),
        {"install.sh": "#!/bin/sh\necho well ready\n"},
        ("shellcheck", "shell"),
    ),
    "tox by tox.ini beside pre-commit": Layout(
        {
            "tox.ini": f"[tox]\nenv_list = unit\n[testenv]\n{TOX}",
            "setup.py": "",
            "tests/test_a.py": TEST,
            ".pre-commit-config.yaml": LOCAL_HOOK,
            ".gitignore": ".tox\n",
        },
        ("pre-commit", "tox"),
        {"tests/test_a.py": TEST + "\n"},
        ("pre-commit", "tox"),
    ),
    "tox by pyproject.toml, by tox.toml and by setup.cfg": Layout(
        {
            "pyproject.toml": "[tool.tox]\nenv_list = ['a']\n"
            "env_run_base = {skip_install = true, commands = [['python', '-V']]}\n",
            "lib/b/tox.toml": "env_list = ['b']\n[env_run_base]\nskip_install = true\ncommands = [['python', '-V']]\n",
            "lib/c/setup.cfg": f"[tox:tox]\nenv_list = c\n[testenv]\n{TOX}",
            "lib/c/tests/test_c.py": TEST,
            ".gitignore": ".tox\n",
        },
        ("tox", "b", "c"),
        {"lib/b/a.py": ""},
        ("tox", "b (lib/b)"),
    ),
    "Python by pytest, and what nox, uv and hatch would run": Layout(
        {
            "pyproject.toml": "",
            "tests/test_a.py": TEST,
            "tools/n/noxfile.py": "",
            "tools/u/uv.lock": "", "tools/u/pyproject.toml": "", "tools/u/tests/test_u.py": TEST,
            "tools/h/pyproject.toml": "[tool.hatch.envs.default.scripts]\ntest = 'pytest'\n", "tools/h/tests/test_h.py": TEST,
        },
        ("pytest",),
        {"tests/test_b.py": TEST},
        ("pytest",),
        off={"n": "nox is not installed", "u": "uv is not installed", "h": "hatch is not installed"},
    ),
    "npm with a lock file": Layout(
        {
            "package.json": '{"name": "a", "scripts": {"test": "node --test", "lint": "node --check a.js", '
            '"deploy": "npm publish"}, '
            '"dependencies": {"dep": "file:dep"}}',
            **DEPENDENCY,
            "a.js": "require('dep')\n",
            "a.test.js": NODE_TEST,
        },
        ("npm", "npm-lint"),
        {"a.js": "require('dep'); 1\n"},
        ("npm", "npm-lint"),
        unwritten=("publish",),
        needs=("npm",),
    ),
    "npm without a lock file, pnpm and yarn below": Layout(
        {
            "package.json": '{"name": "a", "scripts": {"test": "node --test *.js"}, "devDependencies": {"dep": "file:dep"}}',
            **{name: text for name, text in DEPENDENCY.items() if name != "package-lock.json"},
            "a.test.js": NODE_TEST,
            "web/package.json": '{"scripts": {"test": "node --test"}, "devDependencies": {"x": "1"}}', "web/pnpm-lock.yaml": "",
            "site/package.json": '{"scripts": {"test": "node --test"}, "devDependencies": {"x": "1"}}', "site/yarn.lock": "",
        },
        ("npm",),
        {"a.test.js": NODE_TEST + "\n"},
        ("npm",),
        off={"web": "pnpm is not installed", "site": "yarn is not installed"},
        needs=("npm",),
    ),
    "go with a Makefile that lints and tests": Layout(
        {
            "go.mod": "module x\n", "main_test.go": "package x\n",
            "Makefile": "lint:\n\t@grep -q module go.mod\ntest:\n\tgo test ./...\n",
            "cli/go.mod": "module y\n",
        },
        ("make-lint",),
        {"main_test.go": "package x\n\n"},
        ("make-lint",),
        off={"make": "go is not installed", "cli": "go is not installed"},
    ),
    "cargo with worktrunk and CI on GitLab": Layout(
        {
            "Cargo.toml": "[package]\nname = 'x'\n", "src/lib.rs": "",
            ".config/wt.toml": "[pre-merge]\nshape = 'test -d src'\ntest = 'cargo test'\n",
            ".gitlab-ci.yml": "unit: {script: [cargo test --locked]}\nyaml: {script: [yamllint -d relaxed .gitlab-ci.yml]}\n"
            "pages: {script: [cargo doc, ./publish.sh]}\n",
        },
        ("yamllint",),
        {"src/lib.rs": "//\n"},
        ("yamllint",),
        off={"cargo": "cargo is not installed", "cargo-clippy": "cargo is not installed"},
        unwritten=("publish",),
    ),
    "Ruby": Layout(
        {"Gemfile": "", ".rspec": "", ".rubocop.yml": "", "spec/a_spec.rb": "", "bin/test": "#!/bin/sh\ntest -e Gemfile\n",
         "Makefile": "test:\n\tfalse\n", "test/a.rb": ""},
        ("test",),
        {"spec/a_spec.rb": "\n"},
        ("test",),
        off={"make": "it ran no test", "ruby": "bundle is not installed", "rubocop": "bundle is not installed"},
        executable=("bin/test",),
    ),
    "just and script/test": Layout(
        {
            "justfile": "check: lint\n  test -e justfile\nlint:\n  yamllint -d relaxed .\ndeploy:\n  ./deploy.sh\n",
            "script/test": "#!/bin/sh\ntest -e justfile\n",
        },
        ("just", "test"),
        {"a.yaml": "a: 1\n"},
        ("just", "test"),
        executable=("script/test",),
        unwritten=("deploy",),
    ),
    "lefthook and prek": Layout(
        {
            "lefthook.yml": "pre-commit:\n  jobs:\n    - {name: sh, run: 'sh -n {all_files}', glob: '*.sh'}\n",
            "prek.toml": "[[repos]]\nrepo = 'local'\nhooks = [{id = 'sh', name = 'sh', language = 'system', entry = 'sh -n', "
            "files = '[.]sh$'}]\n",
            "run.sh": "true\n",
        },
        ("prek", "lefthook"),
        {"run.sh": "true\ntrue\n"},
        ("prek", "lefthook"),
    ),
    "Woodpecker that checks and deploys": Layout(
        {
            ".woodpecker/build.yml": "when: {event: push}\nsteps:\n"
            "  - {name: lint, image: x, commands: [yamllint -d relaxed ., 'sh -n run.sh']}\n"
            "  - {name: scripts, image: x, commands: [cd scripts, make check]}\n"
            "  - {name: secret, image: x, environment: {T: {from_secret: t}}, commands: [pytest live]}\n"
            "  - {name: ship, image: x, commands: [terraform apply -auto-approve]}\n",
            "run.sh": "true\n",
            "scripts/Makefile": "check:\n\ttest -e Makefile\n",
        },
        ("yamllint", "sh", "scripts"),
        {"scripts/a": ""},
        ("yamllint", "sh", "scripts (scripts)"),
        told=(".woodpecker/build.yml, step ship",),
        unwritten=("apply", "pytest"),
    ),
    "workflows of Forgejo and Gitea": Layout(
        {
            ".forgejo/workflows/a.yml": "on: [push]\njobs: {a: {steps: [{run: shellcheck run.sh}, {run: 'echo ${{ x }}'}]}}\n",
            ".gitea/workflows/b.yml": "on: push\njobs: {b: {steps: [{run: pytest, working-directory: lib}]}}\n",
            "run.sh": "#!/bin/sh\ntrue\n",
            "lib/setup.py": "", "lib/test_a.py": TEST,
        },
        ("shellcheck", "lib"),
        {"lib/test_a.py": TEST + "\n"},
        ("shellcheck", "lib (lib)"),
    ),
    "a live system and nothing else": Layout(
        {
            "Makefile": "test:\n\tkubectl get pods\ndeploy:\n\tkubectl apply -f .\n",
            ".github/workflows/ship.yml": "on: push\njobs: {a: {steps: [{run: ./deploy.sh}]}}\n",
        },
        ("check",),
        {"a": ""},
        ("check",),
        off={"make": "it asks a system that is up"},
        told=(".github/workflows/ship.yml, step a/1",),
        unwritten=("deploy",),
        said="test -e Makefile",
    ),
    "documents and nothing else": Layout(
        {"README.md": "hello\n"}, ("check",), {"README.md": "hello again\n"}, ("check",), said="test -s README.md"
    ),
}  # fmt: skip


#: How many stacks the owner's repository has, and how many of them nobody has formatted.
STACKS, UNFORMATTED = 155, 14
_PROVIDED = 'terraform {\n  required_providers {\n    x = {\n      source = "forge.invalid/x/x"\n    }\n  }\n}\n'


def infra() -> Files:
    """Return the repository that this was made for, its secrets not sealed yet: stacks, a module, go, Python, Woodpecker."""
    files: Files = {
        "terragrunt.hcl": "",
        "modules/service/main.tf": OUTPUT,
        ".gitattributes": "*.tfvars filter=git-crypt diff=git-crypt\nsecrets/** filter=git-crypt diff=git-crypt\n",
        "config.tfvars": 'password = "hunter2"\n',
        "secrets/kubeconfig": "token: hunter2\n",
        "cli/go.mod": "module cli\n",
        "cli/main_test.go": "package main\n",
        "tools/audit/requirements.txt": "",
        "tools/audit/test_audit.py": TEST,
        ".woodpecker/default.yml": "when: {event: push, branch: master}\nsteps:\n"
        "  - {name: apply, image: x, commands: [scripts/apply-changed]}\n",
        "scripts/apply-changed": "#!/bin/sh\nterragrunt apply --non-interactive\n",
    }
    for n in range(STACKS):
        folder = f"stacks/s{n:03}"
        files[f"{folder}/main.tf"] = _PROVIDED + (UNTIDY if n < UNFORMATTED else OUTPUT)
        files[f"{folder}/terragrunt.hcl"] = "include {\n  path = find_in_parent_folders()\n}\n"
    return files
