#!/bin/sh
# The main job on a throwaway remote: start, a refused push, land, and an apply under its claim. Each command is told
# before it is run. Nothing outside the temporary folder is touched.
set -eu

place=$(mktemp -d)
place=$(cd "$place" && pwd -P)
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

unset $(git rev-parse --local-env-vars)
unset HOMELAB_CLAIMS HOMELAB_CONFIG HOMELAB_SESSION
export HOME="$place" USER=ada GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export XDG_CONFIG_HOME="$place/.config" XDG_CACHE_HOME="$place/.cache" XDG_STATE_HOME="$place/.local/state"
export XDG_DATA_HOME="$place/.local/share"
git config --global user.name Ada
git config --global user.email ada@example.org
git config --global init.defaultBranch master
git config --global advice.detachedHead false

title() { printf '\n# %s\n' "$*"; }
tell() { printf '\n$ %s\n' "$*"; }
run() {
  tell "$*"
  eval "$*"
}
# The command has to end with this code, else the demo has shown something untrue.
expect() {
  code=$1
  shift
  tell "$*"
  eval "$*" && ended=0 || ended=$?
  printf '(exit code %s)\n' "$ended"
  [ "$ended" = "$code" ] || { echo "demo: expected exit code $code" >&2; exit 1; }
}

git init --quiet --bare "$place/infra.git"
git clone --quiet "$place/infra.git" "$place/infra" 2>/dev/null
cd "$place/infra"
mkdir -p stacks/dns zones scripts
printf 'home SOA ns1\nns1 A 10.0.0.1\n' >zones/home
printf 'resource "terraform_data" "dns" {}\n' >stacks/dns/main.tf
: >root.hcl
cat >check-zones <<'CHECK'
#!/bin/sh
for zone in zones/*; do
  grep -q SOA "$zone" || { echo "$zone has no SOA record"; exit 1; }
done
CHECK
# Stands for terragrunt: it says what it was asked for, and takes its time.
cat >scripts/tg <<'RUNNER'
#!/bin/sh
echo "tg: $* in $(basename "$PWD"), fence ${HOMELAB_CLAIM_FENCE:-none}"
: >"$HOME/applying"
waited=0
while [ ! -e "$HOME/finish" ] && [ "$waited" -lt 300 ]; do
  sleep 0.1
  waited=$((waited + 1))
done
echo "tg: applied"
RUNNER
chmod +x check-zones scripts/tg
git add .
git commit --quiet -m 'Begin'
git push --quiet origin master
git remote set-head origin master >/dev/null

title 'A repository learns what a commit has to pass, and gets its gate'
run "homelab init --verify-cmd ./check-zones"
run "git add homelab.toml"
run "git commit --quiet -m 'Say what a commit has to pass'"
run "git push --quiet origin master"

title 'Work starts in a worktree of its own'
run 'cd "$(homelab work start fix-dns)"'
[ "$PWD" = "$place/infra/.worktrees/fix-dns" ]  # `cd ""` would stay here and go on
run "echo 'ns1 A 10.0.0.2' >zones/home"
run "git commit --quiet --all -m 'Move ns1'"

title 'A push to master of what is red is refused'
before=$(git -C "$place/infra.git" rev-parse master)
expect 1 "git push --quiet origin HEAD:master"
[ "$(git -C "$place/infra.git" rev-parse master)" = "$before" ]

title 'Repaired, it lands: verified as it will stand on master, and pushed as it was verified'
run "printf 'home SOA ns1\nns1 A 10.0.0.2\n' >zones/home"
run "git commit --quiet --all -m 'Give home its SOA record'"
run "homelab work land"
run "homelab work log"
run "git log --oneline --graph origin/master"

title 'An apply holds its stack, and frees it with its last process'
run "cd '$place/infra'"
run "git pull --quiet --ff-only"
tell "homelab tf apply dns &"
homelab tf apply dns &
apply=$!
waited=0
while [ ! -e "$HOME/applying" ] && [ "$waited" -lt 300 ] && kill -0 "$apply" 2>/dev/null; do
  sleep 0.1
  waited=$((waited + 1))
done
run "homelab claims"
expect 4 "HOMELAB_SESSION=somebody-else homelab tf apply dns"
: >"$HOME/finish"
wait "$apply"
run "homelab claims"
run "homelab claims history stack:dns"

title 'What has landed can be cleaned away'
run "homelab work clean --landed"
run "homelab work list"
printf '\ndemo: all of it happened as told\n'
