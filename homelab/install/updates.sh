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

# Short of memory Python can turn in circles at its start, so it gets five seconds of the processor; once it has started it
# takes the limit off itself.
started() {
  (ulimit -S -t 5 2>/dev/null; exec "$@")
}

# Whether our program starts at all. It ends with 1 as well when the module is not there (a newer Python took this one's place).
starts() {
  (ulimit -t 5; exec "$python" -I -c 'import homelab_hooks.verified_push') </dev/null >/dev/null 2>&1
}

# A program of ours that says no has said why; one that was ended (aborted, killed, out of time) has not.
explain() {
  case $1 in 134 | 137 | 139 | 152) ;; *) return ;; esac
  echo "homelab: the push is refused: the program that judges it was ended by signal $(($1 - 128))" >&2
  echo 'homelab: hint: look at the memory that is left, then push again' >&2
}
