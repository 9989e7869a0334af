#!/bin/sh
# homelab gate 2: pre-commit. `homelab hooks uninstall` takes it out and restores what was here.
# Blobs are looked at, so that no `-c filter.git-crypt.clean=cat` brings a secret into a commit as plaintext.
unset python next code
python=@PYTHON@
next=@NEXT@

if [ -x "$python" ]; then
  "$python" -I -m homelab_hooks.git_crypt_sealed </dev/null >&2
  code=$?
else
  code=127
fi
case $code in
  0) ;;
  1 | 126 | 127)
    # Short of memory Python can turn in circles at its start, so it gets five seconds of the processor.
    [ "$code" = 1 ] && (ulimit -t 5; exec "$python" -I -c 'import homelab_hooks.git_crypt_sealed') </dev/null >/dev/null 2>&1 && exit 1
    # A commit stays here, and no push of it passes unseen.
    echo 'homelab: nobody looks for plaintext secrets in this commit: the program that does is gone' >&2
    echo 'homelab: hint: install homelab-hooks again, then run `homelab hooks install` in this clone' >&2
    ;;
  *) exit "$code" ;;
esac
if [ -x "$next" ] && [ ! -d "$next" ]; then
  exec "$next" "$@"
fi
exit 0
