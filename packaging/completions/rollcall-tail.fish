# fish completion for rollcall-tail.
complete -c rollcall-tail -f
complete -c rollcall-tail -s s -l socket -rF -d 'a node\'s socket'
complete -c rollcall-tail -l from -x -a 'now oldest' -d 'where to begin'
complete -c rollcall-tail -l after -x -d 'begin behind this event'
complete -c rollcall-tail -l cursor-file -rF -d 'keep the place in this file'
complete -c rollcall-tail -l reader -x -d 'be this held reader'
complete -c rollcall-tail -l endpoint -x -d 'only events of this endpoint'
complete -c rollcall-tail -l provider -x -a 'aerohive bt json meraki mist pubnub' \
    -d 'only events of this sender'
set -l kinds seen login validation join leave timeout state-change active inactive interval \
    zone-enter zone-exit document unreadable hidden
complete -c rollcall-tail -l kind -x -a "$kinds" -d 'only events of this kind'
complete -c rollcall-tail -l mac -x -d 'only events of this client'
complete -c rollcall-tail -s n -l lines -x -d 'end after so many events'
complete -c rollcall-tail -l no-follow -d 'end at the newest event'
complete -c rollcall-tail -l format -x -a 'ndjson text cloudevents' -d 'how events are printed'
complete -c rollcall-tail -l gaps -d 'print gaps among the events too'
complete -c rollcall-tail -l stats -d 'say how many events come'
complete -c rollcall-tail -s h -l help -d 'a short text on the options'
complete -c rollcall-tail -s V -l version -d 'the version'
