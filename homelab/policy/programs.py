"""The programs that are known: which of their verbs check, prepare, install, ask a live system, or deploy.

One table a kind. A row is a program and what its arguments have to look like; an empty pattern takes any. The first kind of
`homelab.policy.effects` that fits counts, the dangerous ones first, so a row here may be generous where a worse one is exact.
"""

import posixpath
import re
import textwrap
from functools import cache


def does(kind: str, words: tuple[str, ...]) -> bool:
    """Return whether a program with its arguments is in the table of a kind."""
    patterns = _table(kind).get(posixpath.basename(words[0]))
    if patterns is None:
        return False
    arguments = " ".join(words[1:])
    return any(pattern.search(arguments) for pattern in patterns)


@cache
def _table(kind: str) -> dict[str, list[re.Pattern[str]]]:
    """Return a kind's table from its rows ``PROGRAM PROGRAM : PATTERN``; a row goes on where the next line is indented."""
    found: dict[str, list[re.Pattern[str]]] = {":": [re.compile("")]} if kind == "nothing" else {}
    rows = re.sub(r"\n {4,}(?=\|)", "", textwrap.dedent(_ROWS[kind]))
    for row in re.sub(r"\n {4,}", " ", rows).strip().splitlines():
        names, _, pattern = row.partition(" :")
        for name in names.split():
            found.setdefault(name, []).append(re.compile(_whole_words(pattern.strip())))
    return found


def _whole_words(pattern: str) -> str:
    # For \b a hyphen ends a word, and `--dry-run` would be the verb `run`, a path `apply/x` the verb `apply`.
    pattern = pattern.replace(r")\b", r")(?![\w./=@:-])")
    return re.sub(r"\\b\((?!\?)", lambda _: r"(?<![\w./=@:-])(", pattern)


_ROWS = {
    "deploys": r"""
        terraform tofu : \b(apply|destroy|import|taint|untaint|force-unlock|login)\b|\bstate (rm|mv|push|replace)
        terragrunt : \b(apply|apply-all|destroy|destroy-all|import|taint|force-unlock)\b
        terramate : \b(apply|deploy)\b
        pulumi : \b(up|update|destroy|import|refresh)\b
        kubectl oc : \b(apply|create|delete|patch|replace|rollout|scale|set|edit|run|annotate|label|taint|cordon
            |uncordon|drain|exec|cp|autoscale|expose|debug)\b
        helm : \b(install|upgrade|uninstall|delete|rollback|push|registry)\b
        helmfile : \b(apply|sync|destroy|delete)\b
        flux : \b(bootstrap|install|reconcile|suspend|resume|create|delete|push|uninstall|tag)\b
        argocd : \b(sync|create|set|delete|add|rm|patch|rollback|login)\b
        talosctl : \b(apply-config|apply|upgrade|upgrade-k8s|bootstrap|reset|reboot|shutdown|rollback|patch|edit|image)\b
        ansible-playbook ansible-pull : ^(?!.*(--syntax-check|--list-tasks|--list-hosts|--version|--check))
        ansible : ^(?!.*--version)
        docker podman nerdctl buildah : (^|\s)(push|login|stack|service|swarm|manifest)\b|--push\b|type=registry
        docker podman docker-compose : (^compose\s(.*\s)?|^(-\S+\s\S+\s)*)(up|down|rm|restart|kill|push|exec)(\s|$)
        docker-buildx skopeo crane regctl oras cosign : \b(copy|push|sync|append|delete|tag|attach|sign|attest)\b|--push\b
        npm pnpm yarn bun : (^|\s)(publish|unpublish|version|deprecate|dist-tag|login|npm publish)(\s|$)
        lerna changeset np release-it semantic-release standard-version : ^(?!.*(status|--dry-run))
        twine : ^upload
        uv poetry hatch flit pdm rye : ^publish
        python python3 : setup\.py.*\bupload\b
        cargo : ^(publish|yank|login|owner|release)
        gem : ^(push|yank|owner|signin)
        mvn mvnw : \b(deploy|release:\S+)\b
        gradle gradlew : \b(publish\S*|upload\S*|release)\b
        dotnet nuget : \bpush\b
        goreleaser : ^(release(?!.*--snapshot)|publish|announce)
        gh glab tea fj : \b(create|upload|edit|delete|merge|close|comment|review|dispatch|run|enable|disable|sync|set
            |POST|PATCH|PUT|DELETE)\b
        git : \b(push|tag|commit|merge|rebase|reset|send-email|am|cherry-pick)\b
        git-crypt sops age gpg : \b(unlock|lock|init|edit|rotate|updatekeys|--encrypt|-e)\b
        netlify vercel wrangler firebase fly flyctl heroku kamal cap serverless sls cdk sam eb mike surge now railway
            render :
        mkdocs : gh-deploy
        aws gcloud az doctl hcloud linode-cli oci gsutil rclone s3cmd mc cf : \b(sync|cp|mv|rm|put\S*|create\S*
            |update\S*|delete\S*|deploy\S*|apply|push|start\S*|stop\S*|run\S*|submit|copy|set\S*|add\S*|invoke)\b
        nixos-rebuild darwin-rebuild home-manager : \b(switch|boot|test|activate)\b
        nixops colmena deploy deploy-rs morph cachix attic nixos-anywhere :
        nix : ^(copy|store (sign|delete)|profile|run\s.*deploy)
        rsync scp sftp sshpass mosh lftp ftp :
        curl wget http https xh httpie : -X\s*(POST|PUT|PATCH|DELETE)|--request[ =](POST|PUT|PATCH|DELETE)|(^|\s)(-d
            |--data\S*|-F|--form|-T|--upload-file|--json|--post-\S+)\b|^(POST|PUT|PATCH|DELETE)\b
        vault bao consul nomad : \b(write|put|patch|delete|destroy|enable|disable|import|run|stop|kv put|operator)\b
        systemctl service launchctl reboot shutdown poweroff mkfs dd fdisk :
        psql mysql mariadb mongosh redis-cli sqlcmd : \b(insert|update|delete|drop|alter|create|flush\w*)\b
        velero restic borg kopia : ^(?!.*(version|snapshots|list|check))
        terraform-docs : ^(?!.*--output-check).*(--output-file|inject)
        woodpecker-cli drone fly : \b(deploy|create|start|promote|set-pipeline)\b
    """,
    "live": r"""
        kubectl oc : ^(?!.*(kustomize|--dry-run=client|version --client|version$))
        helm : \b(list|ls|status|get|history|test)\b
        helmfile : \b(diff|status|test)\b
        flux : \b(check|get|logs|events|diff|trace|tree)\b
        argocd talosctl istioctl cilium velero restic borg kopia : ^(?!.*(version|validate|--help))
        terraform tofu : \b(plan|refresh|output|show|state|console|workspace)\b
        terragrunt : \b(plan|plan-all|run-all|output|validate|init|run)\b
        pulumi : \b(preview|stack|config)\b
        aws gcloud az doctl hcloud oci gsutil rclone s3cmd mc :
        ssh ssh-keyscan telnet nc ncat dig nslookup ping host :
        curl wget http https xh httpie :
        vault bao consul nomad psql mysql mariadb mongosh redis-cli sqlcmd pg_isready pg_dump mysqldump ldapsearch :
        gh glab tea fj : ^(?!.*(--version|--help))
        ansible-playbook ansible-pull : --check
        inspec goss testssl k6 locust ab wrk newman :
        docker podman docker-compose : \b(run|start|logs|ps|inspect|pull)\b
    """,
    "installs": r"""
        pip pip3 easy_install conda mamba micromamba apt apt-get apk yum dnf pacman brew snap rustup gem cpanm asdf
            sdk opam luarocks choco winget add-apt-repository :
        python python3 : ^-m (pip|ensurepip|venv|virtualenv)\b|setup\.py (install|develop)
        virtualenv :
        uv : ^(pip|tool|python|venv|self)\b
        pipx : ^(install|inject|upgrade|ensurepath)
        npm pnpm yarn : (-g|--global|^global)\b
        npm : ^(config|set)\b
        go : ^(install|get|env -w)\b
        cargo : ^(install|binstall|uninstall)\b
        corepack nvm fnm volta n pyenv rbenv goenv tfenv tfswitch mise nix-env nix-channel devbox : ^(?!(run|exec|x
            |tasks)\b)
        dotnet : ^(tool install|workload)
        poetry : ^(self|config)
        ansible-galaxy krew tflint : \binstall\b|--init
        helm : ^(plugin|repo)
        pre-commit prek lefthook husky : ^(install|install-hooks|autoupdate|uninstall|init-templatedir|add)
        playwright : ^install
        chmod chown useradd groupadd :
    """,
    "prepares": r"""
        npm : ^(ci|i|install|install-ci-test|rebuild|link)\b
        pnpm bun yarn : ^(install|i|ci|--frozen-lockfile|--immutable|$)
        yarn : ^$
        bundle : ^(install|config|check|lock)?(\s|$)
        uv : ^(sync|lock|export)
        poetry pdm pipenv rye : ^(install|sync|lock|check)
        go : ^(mod (download|verify|vendor)|generate\b)
        cargo : ^(fetch|generate-lockfile|vendor)
        terraform tofu : ^(-chdir=\S+ )?(init\b(?=.*-backend=false)|get\b|providers\b)
        helm : ^(dep|dependency)\b
        composer : ^(install|update|dump-autoload)
        mix : ^(deps\.\S+|local\.\S+)
        dotnet : ^restore
        gradle gradlew : ^(dependencies)
        tox : --notest
        mvn mvnw : ^(-\S+ )*dependency:
        jsonnetfile jb :
    """,
    "nothing": r"""
        cd echo printf true set export unset test [ [[ ls cat pwd which type date uname hostname whoami id head tail
            wc sort uniq tr cut grep egrep rg fgrep awk basename dirname realpath readlink stat file du df sleep umask
            ulimit shopt hash env printenv seq jq yq tee mkdir pushd popd nproc exit return wait sha256sum md5sum cmp diff
            comm :
        command : ^-[vV]
        find fd : ^(?!.*(-delete|-exec))
        sed : ^(?!.*(-i|--in-place))
        git : ^(status|log|show|diff(?!.*--(exit-code|quiet|check))|rev-parse|ls-files|ls-tree|branch|describe
            |config --get|version|--version|fetch|submodule|cat-file|merge-base|config --global --add safe\.directory
            |rev-list)\b
        make just task go node npm pnpm yarn python python3 ruby cargo rustc terraform tofu terragrunt helm docker
            podman kubectl nix uv poetry tox pip java bundle gem tflint yamllint : ^(--version|-v|-V|version( --client)?
            |env)$
        npm : ^(ls|list|--version|outdated|view)\b
        coverage : ^(report|xml|html|combine|json|lcov|erase)
        codecov codecovcli coveralls :
        task just : ^(--list\S*|-l|list)$
    """,
    "checks": r"""
        pytest py.test tox nox flake8 pylint mypy dmypy pyright basedpyright ty bandit codespell yamllint ansible-lint
            shellcheck hadolint actionlint zizmor stylelint tsc jest vitest mocha ava xo standard c8 nyc tap tape lab
            qunit oxlint jshint htmlhint knip depcheck publint attw size-limit bats shellspec bats-core rspec rubocop
            standardrb minitest brakeman erb_lint haml-lint reek steep sorbet golangci-lint staticcheck govulncheck revive
            gosec errcheck gotestsum ginkgo nilaway tflint tfsec checkov terrascan kics trivy kubeconform kubeval kube-
            linter kube-score pluto polaris datree conftest opa kyverno promtool amtool jsonschema check-jsonschema ajv
            yajsv vale lychee typos gitleaks trufflehog detect-secrets reuse statix deadnix phpunit phpstan psalm phpcs
            pest ctest checkmake editorconfig-checker ec vulture pydocstyle pycodestyle pyflakes doc8 rstcheck interrogate
            deptry import-linter lint-imports pip-audit safety sqlfluff taplo cspell alex textlint remark lint-staged
            commitlint dockle spectral redocly protolint regal nbqa zuban proselint mdl remarklint credo kubescape
            htmlproofer pa11y flate dyff sphinx-build mkdocs towncrier check-manifest pyroma validate-pyproject check-
            wheel-contents yarn-deduplicate djlint curlylint semgrep dotenv-linter dclint gokart tekton-lint kubepug dart
            swiftlint ktlint detekt buildifier ameba :
        ruff : ^(check(?!.*--fix(\s|$))|format\b(?=.*--(check|diff)))
        black : --(check|diff)
        isort : --(check|check-only|diff)|(^|\s)-c(\s|$)
        unittest compileall doctest py_compile trial stestr green nose2 :
        twine : ^check(?! dist/)
        python python3 : ^-m (unittest|compileall|doctest|py_compile|build)\b|setup\.py (test|check|--version|build\S*
            |sdist|bdist_wheel)
        prettier : (^|\s)(--check|-c|--list-different|-l)(\s|$)
        eslint : ^(?!.*--fix(\s|$))
        biome rome : ^(check|ci|lint|format)\b(?!.*--(write|apply|fix))
        markdownlint markdownlint-cli2 yamlfmt dprint oxfmt : ^(?!.*--?fix(\s|$))(?=.*(-lint|--check|^check|\.md|\*))
        deno : ^(test|lint|check|fmt\b(?=.*--check)|doc)
        bun : ^(test|build)
        node : (^|\s)--(test|check)\b
        go : ^(test|vet|build|mod tidy(?=.*-diff)|mod verify|list|tool (cover|vet)|fmt -n)\b
        gofmt gofumpt goimports gci shfmt : ^(?!.*(-w|--write))
        cargo : ^(\+\S+ )?(test|check|clippy(?!.*--fix)|build|nextest|doc|deny|audit|machete|hack|semver-checks
            |tarpaulin|llvm-cov(?! clean)|insta test|udeps|outdated|shear|miri|msrv|about|rustdoc|fmt\b(?=.*--(check
            |all -- --check))|update\b(?=.*--locked))
        rustfmt : --check
        rake : ^(test|spec|lint|rubocop|check|default|standard)?(\s|$)
        rails : ^(test|zeitwerk:check)
        bundle : ^(audit|outdated)
        bundler-audit bundle-audit cargo-deny :
        terraform tofu : ^(-chdir=\S+ )?(validate|fmt\b(?=.*(-check|-diff)))
        terragrunt : ^(hcl (fmt|format|validate)\b(?=.*--?(check|validate|$))|hclfmt\b(?=.*check)|hclvalidate
            |hcl validate|fmt\b(?=.*-check))
        terramate : ^(fmt\b(?=.*--check)|generate\b(?=.*--detailed-exit-code)|list)
        packer : ^(validate|fmt -check)
        terraform-docs : --output-check
        helm : ^(lint|template|unittest|show)\b
        helmfile : ^(lint|template|build)\b
        kustomize : ^(build|cfg)\b
        kubectl oc : ^(kustomize\b|.*--dry-run=client\b(?=.*--validate=false))
        flux : ^(build|envsubst)\b
        talosctl : ^(validate|machineconfig)
        ct : ^lint
        docker podman docker-compose : ^(compose\s.*config|(-f \S+ )*config)\b
        docker podman buildah : ^(buildx )?(build|bake|image build)\b(?!.*(--push|type=registry))
        nix : ^(flake (check|show|metadata)|build|eval|fmt\b(?=.*--check)|instantiate|develop --command true)
        nix-build nix-instantiate nixfmt alejandra nixpkgs-fmt treefmt nixos-rebuild : ^(?!.*(switch|boot|activate))
        nixos-rebuild home-manager darwin-rebuild : ^(build|dry-build|dry-activate)\b
        ansible-playbook : --(syntax-check|list-tasks|list-hosts)\b
        ansible-inventory : --(list|graph)
        molecule : ^(lint|syntax)
        pre-commit prek : ^(run(?=.*(--all-files|\s-a\b|--files))|validate-\S+)
        lefthook : ^(run|validate|dump)\b
        wt : ^hook pre-
        sh bash zsh dash ksh fish : (^|\s)(-n|--no-execute)\b
        git : ^diff\b(?=.*--(exit-code|quiet|check))
        commitizen cz : ^check
        uv : ^(build|lock --(check|locked)|sync --(check|locked)|version)
        poetry hatch pdm flit rye : ^(build|check|test|fmt --check|version)\b
        hatch : ^(test|run [\w.-]+:\w*(test|lint|check|types)\w*|run (test|lint|check|types|cov)\b|fmt\b(?=.*--check))
        python-build build : ^
        mvn mvnw : ^(-\S+ )*(clean )?(test|verify|package|compile|checkstyle:check|spotless:check)\b
        gradle gradlew : \b(test|check|build|lint|spotlessCheck|assemble)\b
        sbt : \b(test|compile|scalafmtCheck\S*)\b
        dotnet : ^(test|build|format\b(?=.*--verify-no-changes))
        mix : ^(test|compile|credo|dialyzer|format\b(?=.*--check-formatted))
        swift zig stack cabal dune : ^(build|test|check)\b
        cmake meson ninja bazel bazelisk buck2 : \b(--build|test|build|compile|setup|-S|-B)\b
        composer : ^(validate|audit|test|check-platform-reqs)
        buf : ^(lint|build|breaking|format\b(?=.*(-d|--diff|--exit-code)))
        goreleaser : ^(check|healthcheck|(release|build)\b(?=.*--snapshot))
        turbo nx : ^(run )?(test|lint|check|build|typecheck)\b
        clang-format : --dry-run
        diff cmp :
        xmllint : --noout
        nginx : (^|\s)-t\b
        caddy traefik haproxy coredns named-checkconf named-checkzone unbound-checkconf visudo sshd prometheus
            alertmanager loki vector telegraf fluent-bit : ^(validate|check|adapt|fmt --diff|-c\b.*-t|.*--config\.check
            |.*-check-config|.*-t\b)
        named-checkconf named-checkzone unbound-checkconf checkconf :
        sops : ^filestatus
        taplo : ^(lint|check|fmt --check)
    """,
}  # fmt: skip
