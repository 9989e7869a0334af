#!/bin/sh
# homelab gate 2: pre-receive. `homelab hooks uninstall --server` takes it out and restores what was here.
# A variable that is exported stays so: git could not be started with a big push in its environment.
unset python next nl updates line count code
python=@PYTHON@
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

feed() {
  "$@" <<EOF
${updates%"$nl"}
EOF
}

# Our program cannot be started, short of memory or gone: nobody can say which branches are protected, so all are.
gone() {
  case $updates in *' refs/heads/'*)
    echo 'homelab: the push is refused: the program that judges what this server receives cannot be started' >&2
    echo 'homelab: hint: on the server, install homelab-hooks and run `homelab hooks install --server` again' >&2
    exit 1
    ;;
  esac
}

if [ -x "$python" ]; then
  feed "$python" -I -m homelab_hooks.verified_push --server >&2
  code=$?
  case $code in
    0) ;;
    1 | 126 | 127)
      # Short of memory Python can turn in circles at its start, so it gets five seconds of the processor.
      (ulimit -t 5; exec "$python" -I -c 'import homelab_hooks.verified_push') </dev/null >/dev/null 2>&1 && exit "$code"
      gone
      ;;
    *) exit "$code" ;;
  esac
else
  gone
fi
if [ -x "$next" ] && [ ! -d "$next" ]; then
  feed exec "$next" "$@"
  exit $?
fi
exit 0
