#!/bin/sh
# homelab gate 2: pre-receive. `homelab hooks uninstall --server` takes it out and restores what was here.
# A variable that is exported stays so: git could not be started with a big push in its environment.
unset python next nl updates line count code
python=@PYTHON@
next=@NEXT@
nl='
'

@READ@

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
  feed started "$python" -I -m homelab_hooks.verified_push --server >&2
  code=$?
  case $code in
    0) ;;
    1 | 126 | 127 | 134 | 137 | 139 | 152)
      if starts; then
        explain "$code"
        exit "$code"
      fi
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
