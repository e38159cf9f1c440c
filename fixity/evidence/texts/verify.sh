#!/bin/sh
# Verifies the log in this package with coreutils and openssl alone:
#
#     sh verify.sh [PUBLIC_KEY.pem [TSA_ROOT.pem]]
#
# PUBLIC_KEY.pem is the archive's key as you know it from elsewhere, TSA_ROOT.pem the root certificate of the authority
# that made the time stamps; without them, those in the package are used. Ends with 0 if nothing is wrong.
LC_ALL=C
export LC_ALL
key=${1:+$(realpath "$1")} root=${2:+$(realpath "$2")}
cd "$(dirname "$0")/lake" || exit 3
work=$(mktemp -d) || exit 3
trap 'rm -rf "$work"' EXIT
wrong=0
say_wrong() {
    echo "WRONG: $1"
    wrong=1
}

before= seals=0 trusted= in_force=
for seal in log/seals/*.sha256; do
    [ -f "$seal" ] || break
    seals=$((seals + 1))
    [ "$seal" = "$(printf 'log/seals/%08d.sha256' $seals)" ] || say_wrong "a seal before $seal is missing"
    # The last line is the signature of the SHA-256 of all lines before it, by the key that the seal names: that of the
    # seal before, or the next key that this one names.
    signer= named= next= lost=
    while read -r sum name; do
        case "$sum $name" in
            "# key: "*) signer=${name#key: } ;;
            "# next key: "*) next=${name#next key: } ;;
            "# key lost: "*) lost=${name#key lost: } ;;
            "# "*) ;;
            *" $before") named=yes ;;
            *) echo "$name" >&3 ;;
        esac
    done < "$seal" 3>> "$work/sealed"
    echo "fixity seal $(head -n -1 "$seal" | sha256sum | cut -c-64)" > "$work/signed"
    tail -n 1 "$seal" | cut -d' ' -f3 | base64 -d > "$work/signature"
    openssl pkeyutl -verify -pubin -inkey "log/keys/$signer.pem" -rawin -in "$work/signed" \
        -sigfile "$work/signature" > /dev/null 2>&1 || say_wrong "the signature of $seal"
    [ "$(openssl pkey -pubin -in "log/keys/$signer.pem" -outform DER 2> /dev/null | sha256sum | cut -c-64)" = "$signer" ] \
        || say_wrong "the key of $seal is not the one that it names"
    if [ -n "$lost" ]; then
        echo "from $seal on the log is signed with a new key, because: $lost"
        trusted=
    elif [ "$signer" != "${in_force:-$signer}" ]; then
        say_wrong "$seal is signed with another key than the seals before it"
    fi
    in_force=${next:-$signer}
    if [ -n "$key" ] && [ "$(openssl pkey -pubin -in "$key" -outform DER | sha256sum | cut -c-64)" = "$signer" ]; then
        trusted=yes
    fi
    # The seal before it, and those of its files that are in this package.
    [ -z "$before" ] || [ -n "$named" ] || say_wrong "$seal does not have the seal before it"
    if ! said=$(sha256sum --strict --quiet --ignore-missing -c "$seal" 2>&1); then
        case $said in
            *"no file was verified"*) ;; # none of its files is in this package
            *) say_wrong "$seal: $said" ;;
        esac
    fi
    before=$seal
done

if [ $seals = 0 ]; then
    echo "There is no log: only manifest-sha256.txt speaks for these files."
else
    [ -z "$key" ] || [ -n "$trusted" ] || say_wrong "no seal is signed with $key"
    sort -u "$work/sealed" > "$work/names"
    while read -r sum name; do
        case $name in
            data/lake/log/seals/*) ;;
            data/lake/*) echo "${name#data/lake/}" ;;
        esac
    done < ../../manifest-sha256.txt | sort > "$work/there"
    comm -13 "$work/names" "$work/there" > "$work/not-sealed"
    while read -r name; do
        echo "no seal has it yet: $name"
    done < "$work/not-sealed"
    echo "$(comm -23 "$work/names" "$work/there" | wc -l) files that seals have are not in this package: of other times or buckets, withdrawn, or gone (data/problems.csv)"
fi

for stamp in log/stamps/*.tsr; do
    [ -f "$stamp" ] || break
    [ -n "$root" ] || cat log/stamps/*.pem > "$work/root.pem"
    number=${stamp#log/stamps/}
    seal=log/seals/${number%.tsr}.sha256
    at=$(openssl ts -reply -in "$stamp" -text 2> /dev/null | while read -r what rest; do
        [ "$what" != "Time" ] || echo "${rest#stamp: }"
    done)
    # The authority's certificate must have been valid then; today it may have expired.
    if openssl ts -verify -data "$seal" -in "$stamp" -CAfile "${root:-$work/root.pem}" \
        -attime "$(date -u -d "$at" +%s)" > /dev/null 2>&1; then
        echo "$seal was there at: $at"
    else
        say_wrong "the time stamp $stamp is not of $seal"
    fi
done

[ $wrong = 0 ] && echo "$seals seals: nothing is wrong."
exit $wrong
