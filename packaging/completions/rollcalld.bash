# bash completion for rollcalld.

_rollcalld() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    # "=" is a word of its own: --config=FILE are three.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $prev in
        -c | --config)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W '--config --check --dump-config --help --version' \
                -- "$cur")
            ;;
    esac
} && complete -F _rollcalld rollcalld
