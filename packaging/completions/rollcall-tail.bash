# bash completion for rollcall-tail.

_rollcall_tail_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_rollcall_tail_sockets() {
    local path
    compopt -o filenames 2> /dev/null
    while IFS= read -r path; do
        [[ ! -S $path && ! -d $path ]] || COMPREPLY+=("$path")
    done < <(compgen -f -- "$cur")
}

_rollcall_tail() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    # "=" is a word of its own: --from=now are three.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $prev in
        -s | --socket) _rollcall_tail_sockets ;;
        --cursor-file)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        --from) _rollcall_tail_words 'now oldest' ;;
        --format) _rollcall_tail_words 'ndjson text cloudevents' ;;
        --provider) _rollcall_tail_words 'aerohive bt json meraki mist pubnub' ;;
        --kind)
            _rollcall_tail_words 'seen login validation join leave timeout state-change active
                inactive interval zone-enter zone-exit document unreadable hidden'
            ;;
        --after | --reader | --endpoint | --mac | -n | --lines) ;;
        *)
            _rollcall_tail_words '--socket --from --after --cursor-file --reader --endpoint
                --provider --kind --mac --lines --no-follow --format --gaps --stats --help
                --version'
            ;;
    esac
} && complete -F _rollcall_tail rollcall-tail
