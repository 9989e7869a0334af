"""What a command line does, by its words and by what the files of a tree say that it runs."""

import pytest

from homelab.git.objects import Objects
from homelab.policy import shell
from homelab.policy.effects import Effect, check, effect, needed
from homelab.policy.targets import Targets
from homelab.policy.tree import Tree
from tests.support.world import World

CHECKS = """
go test ./...
cd cli && go vet ./...
npm run test
npm run format:check
yarn test
uv run --locked --group dev tox run -e typing
python -m pytest
coverage run -m pytest
python3 -m unittest discover tests
make test
make lint test
./scripts/test.sh
bash tests/run.sh
bin/test
git ls-files '*.sh' | xargs shellcheck
bundle exec rubocop --parallel
ruff check . && ruff format --check .
black --check .
cargo fmt --all -- --check
terraform fmt -check -recursive
terraform validate
kubectl kustomize overlays/prod
helm lint charts/*
helm template charts/web
docker build -t web .
docker compose config -q
ansible-playbook --syntax-check site.yml
pre-commit run --all-files --show-diff-on-failure
flate test all --allow-missing-secrets
nix develop --command make lint
timeout 10m env FOO=1 go test ./...
sh -c 'go vet ./... && go test ./...'
npx --yes prettier --check .
"""

DEPLOYS = """
terraform apply -auto-approve
terragrunt run-all apply
if true; then terragrunt apply; fi
for s in a b; do kubectl apply -f $s; done
go test ./... && kubectl apply -f .
sh -c 'go vet && kubectl apply -f .'
echo "$(curl -X POST https://example.org)"
`helm upgrade web .`
make deploy
make test deploy
just apply
task k8s:apply
npm run deploy:prod
npm publish
./scripts/deploy.sh
bash ci/release.sh
docker push web
docker buildx build --push .
docker compose up -d
ansible-playbook site.yml
git push origin HEAD
gh release create v1
aws s3 sync dist s3://site
curl -s -X POST https://example.org
rsync -a dist/ host:/srv
twine upload dist/*
cargo publish
nixos-rebuild switch
sudo terraform apply
VAULT_TOKEN=x terraform apply
"""

LIVE = """
kubectl get pods
curl -sf https://example.org
terraform plan
helm list
vault read secret/x
KUBECONFIG=x go test ./...
go test -token "$API_TOKEN" ./...
npm run e2e
make smoke-test
psql -c 'select 1'
"""

UNKNOWN = """
frobnicate
terraform init && terraform validate
ruff check --fix .
black .
npm run lint:fix
make build
make
python tool.py
if true; then go test ./...; fi
echo x > file
eval "$X"
"""


@pytest.mark.parametrize(
    ("lines", "does"), [(CHECKS, Effect.CHECKS), (DEPLOYS, Effect.DEPLOYS), (LIVE, Effect.LIVE), (UNKNOWN, Effect.UNKNOWN)],
    ids=["checks", "deploys", "live", "unknown"],
)  # fmt: skip
def test_a_line_does_what_its_worst_command_does(lines: str, does: Effect) -> None:
    found = {line: effect(line) for line in lines.strip().splitlines()}
    assert found == dict.fromkeys(found, does)


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("go test ./...", ("go test ./...", ".")),
        ("cd cli && go test ./...", ("go test ./...", "cli")),
        ("pip install tox && tox", ("tox", ".")),
        ("set -e; npm ci && npm test", ("npm ci && npm test", ".")),
        ("ruff check . && ruff format --check .", ("ruff check . && ruff format --check .", ".")),
        # Their failure would not show.
        ("pytest || true", None),
        ("pytest | tee log", None),
        ("pytest; echo done", None),
        ("npm test &", None),
        # Nobody knows what they do.
        ("go test ./... && frobnicate", None),
        ("go test $FLAGS ./...", None),
        ("cd .. && make test", None),
        ("echo nothing", None),
        ("pip install tox", None),
        # A program that speaks of itself decides nothing.
        ("npx commitlint --version", None),
        ("yamllint --help", None),
    ],
)
def test_the_part_of_a_line_that_checks_is_taken(line: str, taken: tuple[str, str] | None) -> None:
    found = check(line)
    assert (found and (found.run, found.dir)) == taken


TREE: dict[str, str | bytes] = {
    "Makefile": "TF = terraform\ncheck: lint\n\t@go vet ./...\nlint:\n\tyamllint .\ntest: ; $(MAKE) -C e2e\n"
    "verify: roll\nroll:\n\t$(TF) apply\nloop:\n\tmake loop\n",
    "e2e/Makefile": "export KUBECONFIG = x\nall:\n\tgotestsum ./...\n",
    "justfile": "check: build\n  go test ./...\nbuild:\n  go build\nci:\n  ./tool.sh {{x}}\n",
    "tool.sh": "#!/bin/sh\nkubectl apply -f .\n",
    "Taskfile.yml": "tasks:\n  test:\n    deps: [up]\n    cmds: [go test ./...]\n  up: docker push x\n"
    "  lint: {cmd: yamllint .}\n",
    "mise.toml": "[tasks.test]\nrun = ['go test ./...']\n[tasks]\nci = 'terraform destroy'\n",
    "package.json": '{"scripts": {"test": "jest", "pretest": "wrangler deploy", "lint": "eslint ."}}',
    "web/package.json": '{"scripts": {"check": "tsc && npm run unit", "unit": "vitest run"}}',
}


def test_a_target_does_what_its_file_says_that_it_runs(world: World) -> None:
    objects = Objects(world.clone / ".git")
    bodies = Targets(Tree(objects, objects.commit(world.commit(TREE)).tree))
    lines = {
        "make check": Effect.CHECKS, "make lint": Effect.CHECKS, "make test": Effect.LIVE, "make verify": Effect.DEPLOYS,
        "make loop": Effect.UNKNOWN, "just check": Effect.CHECKS, "just ci": Effect.DEPLOYS, "./tool.sh": Effect.DEPLOYS,
        "task test": Effect.DEPLOYS, "task lint": Effect.CHECKS, "mise run test": Effect.CHECKS, "mise run ci": Effect.DEPLOYS,
        "npm test": Effect.DEPLOYS, "npm run lint": Effect.CHECKS, "npm --prefix web run check": Effect.CHECKS,
        "cd web && yarn unit": Effect.CHECKS,
    }  # fmt: skip
    assert {line: effect(line, bodies) for line in lines} == lines
    programs = {
        "make check": {"make", "go", "yamllint"}, "make test": {"make", "gotestsum"}, "npm run lint": {"npm"},
        "cd web && npm run check": {"npm"}, "./tool.sh && FOO=1 bats x": {"kubectl", "bats"},
        "exec timeout 5 pytest | tee x": {"pytest", "tee"}, "make loop": {"make"}, "npx eslint .": {"npx"},
        '"$(command -v python || command -v python3)" -m pytest': set(),
        "ls | xargs -n1 sh -c 'kustomize build \"$0\"'": {"ls", "sh", "kustomize"},
    }  # fmt: skip
    assert {line: needed(line, bodies) for line in programs} == programs


@pytest.mark.parametrize(
    ("text", "commands", "is_plain"),
    [
        ('a \'b c\' "d\\" $e" # f\nA=1 g\\\n  h', [("a", "b c", 'd" $e'), ("g", "h")], True),
        ("a && b || c | d; e", [("a",), ("b",), ("c",), ("d",), ("e",)], True),
        ("a 2>&1 >/dev/null <x", [("a",)], True),
        ("a > file", [("a",)], False),
        ("cat <<EOF\nkubectl apply\nEOF\nb", [("cat",), ("b",)], False),
        ("while a; do b; done", [("a",), ("b",)], False),
        ("x=$(a `b`)", [("a", "`b`"), ()], False),
        ("'a", [("a",)], False),
        ("(a)", [("a",)], False),
        ("nix run .#x", [("nix", "run", ".#x")], True),
    ],
)
def test_a_script_is_read_as_its_simple_commands(text: str, commands: list[tuple[str, ...]], is_plain: bool) -> None:
    script = shell.parse(text)
    found = [one.words for one in script.commands if one.words != ("b",) or "`b`" not in text]
    assert (found, script.is_plain) == (commands, is_plain)


@pytest.mark.parametrize(
    "text", ["$(" * 5000, "`" * 9999, '"' * 9999, "${" * 5000, "a <<" * 999, "\\", "(((", "if\n" * 9999, "'"]
)
def test_what_is_no_script_is_never_harmless(text: str) -> None:
    assert effect(text) in (Effect.UNKNOWN, Effect.NOTHING)
