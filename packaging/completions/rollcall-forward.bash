# bash completion for rollcall-forward.

_rollcall_forward_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_rollcall_forward_sockets() {
    local path
    compopt -o filenames 2> /dev/null
    while IFS= read -r path; do
        [[ ! -S $path && ! -d $path ]] || COMPREPLY+=("$path")
    done < <(compgen -f -- "$cur")
}

_rollcall_forward() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    # "=" is a word of its own: --from=now are three.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $prev in
        -s | --socket) _rollcall_forward_sockets ;;
        --credentials | --ca | --certificate | --private-key | --kafka-properties | --metrics-file)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        --from) _rollcall_forward_words 'oldest now' ;;
        --to)
            compopt -o nospace 2> /dev/null
            _rollcall_forward_words 'nats:// tls:// kafka://'
            ;;
        --reader | --window | --stream | --duplicates | --subject-prefix | --kafka-config) ;;
        *)
            _rollcall_forward_words '--socket --reader --from --no-follow --to --window --stream
                --create --duplicates --subject-prefix --credentials --ca --certificate
                --private-key --kafka-config --kafka-properties --stats --metrics-file --help
                --version'
            ;;
    esac
} && complete -F _rollcall_forward rollcall-forward
