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
        -c | --config | --secret-file | --ca)
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        --provider)
            mapfile -t COMPREPLY < <(compgen -W 'aerohive bt json meraki mist pubnub' -- "$cur")
            ;;
        --probe | --auth | --validator | --connect | --timeout) ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W '--config --check --dump-config --probe --provider
                --auth --secret-file --validator --ca --connect --timeout --help --version' \
                -- "$cur")
            ;;
    esac
} && complete -F _rollcalld rollcalld
