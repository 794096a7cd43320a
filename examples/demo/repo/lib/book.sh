# The book: a text file with one event in a line, `number|date|status|place`.
# Lines are only ever added at the end.

PARCEL_BOOK=${PARCEL_BOOK:-parcels.book}

# book_add NUMBER DATE STATUS PLACE
book_add() {
    printf '%s|%s|%s|%s\n' "$1" "$2" "$3" "$4" >>"$PARCEL_BOOK"
}

# book_events NUMBER: the events of one parcel, oldest first
book_events() {
    [ -f "$PARCEL_BOOK" ] || return 0
    while IFS= read -r event; do
        case $event in
            "$1|"*) printf '%s\n' "$event" ;;
        esac
    done <"$PARCEL_BOOK"
}
