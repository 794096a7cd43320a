. lib/book.sh

check "an empty book has no events" "" "$(book_events PX000000)"

book_add PX111111 2026-03-01 accepted Bergen
book_add PX222222 2026-03-01 accepted Oslo
book_add PX111111 2026-03-02 sorted "Nordre Land"

check "events come oldest first" \
    "PX111111|2026-03-01|accepted|Bergen
PX111111|2026-03-02|sorted|Nordre Land" \
    "$(book_events PX111111)"
check "another parcel has its own events" \
    "PX222222|2026-03-01|accepted|Oslo" "$(book_events PX222222)"
