# Bash ends a word at every `:` and `=`, which labels and options have. What no space separates on the line is one word here,
# and of what is offered bash gets the part behind its last break.
_homelab_completion() {
  local IFS=$'\n' line=$COMP_LINE word words=() at=0 n=0 joined= kind value
  for word in "${COMP_WORDS[@]}"; do
    if [ ${#words[@]} -eq 0 ] || [ "${line#[[:space:]]}" != "$line" ]; then
      line=${line#"${line%%[![:space:]]*}"}
      words+=("$word")
      [ $n -ne "$COMP_CWORD" ] || joined=
    else
      words[${#words[@]} - 1]+=$word
      [ $n -ne "$COMP_CWORD" ] || joined=yes
    fi
    line=${line#"$word"}
    [ $n -ne "$COMP_CWORD" ] || at=$((${#words[@]} - 1))
    n=$((n + 1))
  done
  [ -z "$joined" ] || joined=${words[at]%"${words[at]##*[:=]}"}
  COMPREPLY=()
  while IFS=, read -r kind value; do
    case $kind in
      dir) compopt -o dirnames 2>/dev/null ;;
      file) compopt -o default 2>/dev/null ;;
      plain)
        COMPREPLY+=("${value#"$joined"}")
        [ "${value%:}" = "$value" ] || compopt -o nospace 2>/dev/null
        ;;
    esac
  done <<< "$(COMP_WORDS="${words[*]}" COMP_CWORD=$at _HOMELAB_COMPLETE=bash_complete command homelab)"
}
complete -o nosort -F _homelab_completion homelab hw 2>/dev/null || complete -F _homelab_completion homelab hw
