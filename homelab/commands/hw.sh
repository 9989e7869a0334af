# hw TOPIC starts work and changes into its worktree; hw - goes back to where one was; hw clean leaves the worktree that it
# removes; hw alone goes to the main worktree. All else is `homelab work`.
hw() {
  case ${1-} in
    '') hw_place=$(command git worktree list --porcelain | sed -n '1s/^worktree //p') && [ -n "$hw_place" ] && cd "$hw_place" ;;
    -) cd - >/dev/null ;;
    start | switch)
      case " $* " in
        *' -h '* | *' --help '* | *' --json '*) command homelab work "$@" ;;
        *) hw_place=$(command homelab work "$@") && cd "$hw_place" ;;
      esac
      ;;
    clean | rm)
      hw_from=$PWD
      hw_here=$(command git rev-parse --show-toplevel) || return
      hw_place=$(command git worktree list --porcelain | sed -n '1s/^worktree //p')
      [ $# -gt 1 ] || set -- clean "$hw_here"
      cd "$hw_place" || return
      command homelab work "$@"
      set -- $?
      [ ! -d "$hw_from" ] || cd "$hw_from"
      return "$1"
      ;;
    land | list | log | ls | queue | -*) command homelab work "$@" ;;
    *) hw start "$@" ;;
  esac
}
