# hw TOPIC starts work and changes into its worktree; hw - goes back to where one was; hw clean leaves the worktree that it
# removes; hw alone goes to the main worktree. All else is `homelab work`.
function hw
    set -l place (command git worktree list --porcelain 2>/dev/null | sed -n '1s/^worktree //p')
    switch "$argv[1]"
        case ''
            cd "$place"
        case '-'
            cd -
        case start switch
            if contains -- --help $argv; or contains -- -h $argv; or contains -- --json $argv
                command homelab work $argv
            else
                set -l made (command homelab work $argv); or return
                cd "$made"
            end
        case clean rm
            set -l from $PWD
            set -l here (command git rev-parse --show-toplevel); or return
            test (count $argv) -gt 1; or set argv clean $here
            cd "$place"; or return
            command homelab work $argv
            set -l code $status
            test -d "$from"; and cd "$from"
            return $code
        case land list log ls queue '-*'
            command homelab work $argv
        case '*'
            hw start $argv
    end
end
