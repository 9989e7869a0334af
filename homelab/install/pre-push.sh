#!/bin/sh
# homelab gate 2: pre-push. `homelab hooks uninstall` takes it out and restores what was here.
# It answers from files what it can; Python starts when there is something to think about.
# A variable that is exported stays so: git could not be started with a big push in its environment.
unset python needles next nl updates line count answer gate memo word at tip blob since tips found one old ref rest needle code
unset common known config on last file want name later wanted
python=@PYTHON@
needles=@NEEDLES@
next=@NEXT@
nl='
'

@READ@

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

# The same for the lines of a text. No here-document: some shells need a temporary file for one, and not touched would be open.
holds() {
  rest=$1$nl
  while [ -n "$rest" ]; do
    needle=${rest%%"$nl"*} rest=${rest#*"$nl"}
    [ -n "$needle" ] || continue
    case $updates in *"$needle"*) return 0 ;; esac
  done
  return 1
}

# Whether the names on stdin are all that were written: the last line says so, and fewer would protect fewer.
whole() {
  needle=
  while IFS= read -r line; do needle=$line; done
  [ "$needle" = ' .' ]
}

# Only called in $(...). Replacements and grafts never count: the push sends the real objects.
ask() {
  export GIT_NO_REPLACE_OBJECTS=1 GIT_GRAFT_FILE=/dev/null/none
  exec git rev-parse "$@" 2>/dev/null
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
  gate=$gate/homelab/gate/2
  { read -r since blob <"$gate/tip"; } 2>/dev/null && [ "$word $tip" = "ref: $since" ] && memo=$gate/$blob
}

# What configuration says of remotes and filters, as sources.py reads it: from git's own files, and from git where those
# include others, the environment adds to them, or nobody knows all of them.
configured() {
  case ${GIT_CONFIG_COUNT-}${GIT_CONFIG_PARAMETERS-}${GIT_CONFIG_SYSTEM-} in ?*) return 1 ;; esac
  # git tells hooks its own folder; one that was built elsewhere has a file for the system that it alone knows.
  case ${GIT_EXEC_PATH-} in /usr/lib/git-core | /usr/libexec/git-core) ;; *) return 1 ;; esac
  config=
  set -- "$common/config"
  if [ -n "${GIT_CONFIG_GLOBAL+x}" ]; then
    set -- "$@" "$GIT_CONFIG_GLOBAL"
  else
    set -- "$@" "${XDG_CONFIG_HOME:-${HOME-}/.config}/git/config" "${HOME-}/.gitconfig"
  fi
  for file in "$@" /etc/gitconfig; do
    [ -r "$file" ] || continue
    on= last=
    while IFS=' 	' read -r line || [ -n "$line" ]; do
      case $line in
        *\[*[Ii][Nn][Cc][Ll][Uu][Dd][Ee]* | *\[*[Ee][Xx][Tt][Ee][Nn][Ss][Ii][Oo][Nn]*) return 1 ;;
        *\[*[Rr][Ee][Mm][Oo][Tt][Ee]* | *\[*[Ff][Ii][Ll][Tt][Ee][Rr]* | *\[*[Ll][Ff][Ss]*) on=1 ;;
        \[*) case $last in *\\ | *\\?) ;; *) on= ;; esac ;; # behind a backslash it may be the rest of a value
      esac
      [ -z "$on" ] || config=$config$line$nl
      last=$line
    done <"$file"
  done
}

# Whether all that can change the rules of a push to this remote is as it was when Python last read them.
same() {
  case ${GIT_REFERENCE_BACKEND-} in ?*) return 1 ;; esac # the files say nothing of a ref
  case $1 in '' | .* | *[!A-Za-z0-9._-]*) return 1 ;; esac
  [ -e "$memo/to/$1" ] || return 1
  common=${gate%/homelab/gate/2}
  for file in "$common"/remotes/* "$common"/branches/*; do
    [ ! -e "$file" ] || return 1
  done
  configured || config=$(exec git config --get-regexp '^(remote|filter|lfs|extensions)\.' 2>/dev/null)$nl
  want= later= wanted=
  while IFS= read -r line; do
    name=${line#* }
    word=${name#* } name=${name%% *}
    case $line in
      '= '*)
        one=-
        { IFS= read -r one <"$common/$name"; } 2>/dev/null || one=-
        [ "$one" = "$word" ] || return 1
        ;;
      '? '*) later="$later $name" wanted=$wanted$word$nl ;;
      *) want=$want$line$nl ;;
    esac
  done <"$memo/to/$1" 2>/dev/null
  # shellcheck disable=SC2086  # no name of a ref has a blank
  [ -z "$later" ] || [ "$(ask $later)$nl" = "$wanted" ] || return 1
  [ "$want" = ".$nl$config" ]
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

# Our program cannot be started: what may be protected stays as it is, and what may hold secrets stays here. Everything else goes.
gone() {
  [ -n "$known" ] || needles=' refs/heads/' # nobody can say which branch is not protected
  if holds "$needles" || { [ -n "$known" ] && touched <"$memo/protected"; } || ! plain; then
    echo 'homelab: the push is refused: it may update a protected branch or hold secrets, and the program that verifies it is gone' >&2
    echo 'homelab: hint: install homelab-hooks again, then run `homelab hooks install` in this clone' >&2
    exit 1
  fi
  pass "$@"
}

[ -n "$updates" ] || pass "$@"

memo= gate= known=
if near; then
  :
elif answer=$(ask --git-common-dir refs/homelab/target:homelab.toml); then
  gate=${answer%"$nl"*}/homelab/gate/2
  memo=$gate/${answer##*"$nl"}
fi

if [ -n "$memo" ] && [ -r "$memo/protected" ] && whole <"$memo/protected" && same "${1-}"; then
  known=1
  if ! touched <"$memo/protected"; then
    ! plain || pass "$@"
  elif judged; then
    # What has passed was looked through as well; what else is in the push was not.
    case ${updates%"$nl"} in *"$nl"*) plain ;; esac && pass "$@"
  fi
fi

[ -x "$python" ] || gone "$@"
feed started "$python" -I -m homelab_hooks.verified_push --native "$@" >&2
code=$?
case $code in
  0) pass "$@" ;;
  1 | 126 | 127 | 134 | 137 | 139 | 152) starts || gone "$@" ;;
esac
explain "$code"
exit "$code"
