# bash completion for rollcall-bench.

_rollcall_bench_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_rollcall_bench_sockets() {
    local path
    compopt -o filenames 2> /dev/null
    while IFS= read -r path; do
        [[ ! -S $path && ! -d $path ]] || COMPREPLY+=("$path")
    done < <(compgen -f -- "$cur")
}

_rollcall_bench() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local senders='aerohive bt pubnub pubnub-flat meraki meraki-v3 mist json'
    COMPREPLY=()
    # "=" is a word of its own: --sender=bt are three.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $prev in
        -s | --socket) _rollcall_bench_sockets ;;
        --cacert | --svg | --hdr)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        --slow-kinds) _rollcall_bench_words 'post silent hello head body idle read' ;;
        --sender) _rollcall_bench_words "$senders" ;;
        --also)
            compopt -o nospace 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -S =/ -W "$senders" -- "$cur")
            ;;
        -p | --pid) _rollcall_bench_words "$(pgrep -x rollcalld 2> /dev/null)" ;;
        -c | --connections | -d | --duration | -r | --requests | --rate | --p99 | --warmup | \
            --timeout | --idle | --slow | --slow-deadlines | -o | --observations | --repeat | --seed | --secret | \
            -H | --header | --patience) ;;
        *)
            _rollcall_bench_words '--connections --duration --requests --rate --find-max --p99
                --warmup --timeout --new-connections --resume --idle --slow --slow-kinds --slow-deadlines --sender --also
                --observations --repeat --seed --secret --header --verify --socket --patience --pid
                --insecure --cacert --json --svg --hdr --help --version'
            ;;
    esac
} && complete -F _rollcall_bench rollcall-bench
