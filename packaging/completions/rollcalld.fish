# fish completion for rollcalld.
complete -c rollcalld -f
complete -c rollcalld -s c -l config -rF -d 'the configuration'
complete -c rollcalld -l check -d 'check the configuration and print every problem'
complete -c rollcalld -l dump-config -d 'print the effective configuration, secrets masked'
complete -c rollcalld -s h -l help -d 'a short text on the options'
complete -c rollcalld -s V -l version -d 'the version'
