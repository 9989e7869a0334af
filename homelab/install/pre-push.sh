#!/bin/sh
# homelab gate 1: pre-push. `homelab hooks uninstall` takes it out and restores what was here.
# It answers from files what it can; Python starts when there is something to think about.
# A variable that is exported stays so: git could not be started with a big push in its environment.
unset python needles next nl updates line count answer gate memo word at tip blob since tips found one old ref rest needle code
python=@PYTHON@
needles=@NEEDLES@
next=@NEXT@
nl='
'

# Line by line costs no process, but time that grows with the square: past 16 lines cat reads the rest.
updates= count=
while IFS= read -r line; do
  updates=$updates$line$nl count=1$count
  case $count in 1111111111111111)
    line=$(cat && echo x) || exit 1
    line=${line%x}
    break
    ;;
  esac
done
updates=$updates$line # and a last line without its newline

# Runs a command with exactly the bytes that git wrote. A here-document ends in a newline, and $(cat) would lose some.
feed() {
  case $updates in
    '') "$@" </dev/null ;;
    *"$nl")
      "$@" <<EOF
${updates%"$nl"}
EOF
      ;;
    *) printf %s "$updates" | "$@" ;;
  esac
}

# The gate is content: the hook that was here before us has the last word.
pass() {
  if [ -x "$next" ] && [ ! -d "$next" ]; then
    feed exec "$next" "$@"
    exit $?
  fi
  exit 0
}

# Whether one of the lines on stdin stands somewhere in the push. A source may look like a ref: a false alarm, no leak.
touched() {
  while IFS= read -r needle || [ -n "$needle" ]; do
    [ -n "$needle" ] || continue
    case $updates in *"$needle"*) return 0 ;; esac
  done
  return 1
}

# Only called in $(...). Replacements and grafts never count: the push sends the real objects.
ask() {
  export GIT_NO_REPLACE_OBJECTS=1 GIT_GRAFT_FILE=/dev/null/none
  exec git rev-parse --git-common-dir "$1" 2>/dev/null
}

# The rules of this moment, by files alone: $0 and git's variables tell whose files these are.
near() {
  gate=${0%/hooks/*}
  case ${GIT_COMMON_DIR-}:${GIT_DIR-} in
    :) [ "$gate" = .git ] || return 1 ;;
    ":$gate/worktrees/"*) ;;
    *) return 1 ;;
  esac
  { read -r word at <"$gate/refs/homelab/target" && read -r tip <"$gate/$at"; } 2>/dev/null || return 1
  gate=$gate/homelab/gate/1
  { read -r since blob <"$gate/tip"; } 2>/dev/null && [ "$word $tip" = "ref: $since" ] && memo=$gate/$blob
}

# Whether every line that updates a protected branch has passed as it stands.
judged() {
  found=${updates%"$nl"}
  case $found in *"$nl"*) found=$(export LC_ALL=C && feed grep -F -f "$memo/protected") || return 1 ;; esac
  while IFS= read -r one; do
    old=${one##* } rest=${one% *}
    ref=${rest##* } rest=${rest% *}
    [ -f "$memo/$ref/$old-${rest##* }" ] || return 1
  done <<EOF
$found
EOF
}

# Whether no pushed commit can name git-crypt: nobody has touched a .gitattributes since a commit whose history does not.
plain() {
  { read -r since <"$gate/plain"; } 2>/dev/null || return 1
  # Of each line the commit, said to be one, for git passes over a tree in silence: none of a deletion, and of what is no
  # line of git's a word that git does not know.
  tips=${updates%"$nl"}
  case $tips in
    *"$nl"*)
      tips=$(export LC_ALL=C && feed awk '{ oid = NF > 3 ? $(NF - 2) : "" }
        oid !~ /^[0-9a-f]+$/ || length(oid) < 40 { print "!"; next }
        oid !~ /^0+$/ { print oid "^{commit}" }') || return 1
      ;;
    *)
      tips=${tips% * *}
      tips=${tips##* }
      case $tips in
        *[!0-9a-f]* | '') return 1 ;;
        *[!0]*) tips="$tips^{commit}" ;;
        *) tips= ;;
      esac
      ;;
  esac
  [ -n "$tips" ] || return 0
  case $since in *[!0-9a-f]* | '') return 1 ;; esac
  found=$(brings) && [ -z "$found" ]
}

# Only called in $(...).
brings() {
  export GIT_NO_REPLACE_OBJECTS=1 GIT_GRAFT_FILE=/dev/null/none
  unset GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS
  exec git rev-list --max-count=1 --full-history --stdin -- ':(top,glob)**/.gitattributes' 2>/dev/null <<EOF
^$since
$tips
EOF
}

# Where git-crypt is used nobody would look for plaintext.
crypt() {
  { read -r since <"$gate/plain"; } 2>/dev/null && [ "$since" = - ]
}

# Our program cannot be started: what is protected stays as it is, everything else goes.
gone() {
  if crypt || touched <<EOF || { [ -n "$memo" ] && [ -s "$memo/protected" ] && touched <"$memo/protected"; }
$needles
EOF
  then
    echo 'homelab: the push is refused: it updates a protected branch or may hold secrets, and the program that verifies it is gone' >&2
    echo 'homelab: hint: install homelab-hooks again, then run `homelab hooks install` in this clone' >&2
    exit 1
  fi
  pass "$@"
}

[ -n "$updates" ] || pass "$@"

memo= gate=
if near; then
  :
elif answer=$(ask refs/homelab/target:homelab.toml); then
  gate=${answer%"$nl"*}/homelab/gate/1
  memo=$gate/${answer##*"$nl"}
elif answer=$(ask 'refs/homelab/target^{commit}'); then
  gate=${answer%"$nl"*}/homelab/gate/1
  memo=$gate/none
fi

if [ -n "$memo" ] && [ -s "$memo/protected" ] && [ -r "$memo/protected" ]; then
  if ! touched <"$memo/protected"; then
    ! plain || pass "$@"
  elif judged; then
    # What has passed was looked through as well; what else is in the push was not.
    case ${updates%"$nl"} in *"$nl"*) plain ;; esac && pass "$@"
  fi
fi

[ -x "$python" ] || gone "$@"
feed "$python" -I -m homelab_hooks.verified_push --native "$@" >&2
code=$?
case $code in
  0) pass "$@" ;;
  # Python ends with 1 as well when the module is not there (a newer Python took this one's place).
  1 | 126 | 127) "$python" -I -c 'import homelab_hooks.verified_push' </dev/null >/dev/null 2>&1 || gone "$@" ;;
esac
exit "$code"
