# walletd, and what is asked of it: a payment on each chain, and one that the policy refuses. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154

# The customer whose money it is, and whom the payments go to. Their keys are public.
customer=ann
evm_payee=0x70997970C51812dc3A010C7d01b50e0d17dc79C8
stranger=0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65

configure_walletd() {
    cat << END
data = "$run/walletd/data"

[api]
listen = "127.0.0.1:$walletd_port"
certificate = "$run/pki/servers/walletd-api.pem"
key = "$run/pki/servers/walletd-api.key"
roots = ["$run/pki/ca.pem"]
crls = ["$run/pki/crl.pem"]

[[client]]
name = "operator"
uri = "urn:strongroom:client:operator"
source = "payouts"
grants = ["withdraw", "read", "decide", "credit"]

[signer]
connect = "127.0.0.1:$signerd_port"
ca = "$run/pki/ca.pem"
certificate = "$run/pki/clients/walletd.pem"
key = "$run/pki/clients/walletd.key"
# Nothing is sent before this log provably contains the decision.
log_key = "$(< "$run/log.key")"

[health]
listen = "127.0.0.1:$walletd_health_port"

[[chain]]
chain = "eip155:31337"
nodes = [{ url = "$(< "$run/evm.url")" }]
accounts = ["eth-hot"]
[chain.evm]
max_fee_ceiling = "100000000000"    # as in the policy, which would refuse more
poll_millis = 500

[[chain]]
chain = "$chain"
nodes = [{ url = "$(< "$run/utxo.url")", user = "quickstart", password_file = "$run/node/password" }]
accounts = ["$coin-hot"]
[chain.utxo]
start_height = 0
confirmations = [{ blocks = $final_depth }]    # where coins have a price: more for more
poll_millis = 500

# 10 ETH and 50 $coin a day, half of it for one customer; beyond it a person decides.
[[limit]]
asset = "eip155:31337/native"
total = "10000000000000000000"
customer = "5000000000000000000"

[[limit]]
asset = "$chain/native"
total = "5000000000"
customer = "2500000000"
END
}

start_walletd() {
    if running walletd; then
        say 'walletd runs already'
    else
        step 'walletd, the coordinator' await_walletd
    fi
    at walletd "https://127.0.0.1:$walletd_port (mTLS), health http://127.0.0.1:$walletd_health_port"
}

await_walletd() {
    configure_walletd > "$run/walletd/walletd.toml"
    [ -d "$run/walletd/data" ] || mkdir --mode 700 "$run/walletd/data"
    start walletd "$bin/walletd" --config "$run/walletd/walletd.toml"
    await walletd 'walletd that is ready' healthy "$walletd_health_port"
}

# One more payment on each chain at each run, under new ids.
pay() {
    number=0
    [ ! -e "$run/number" ] || number=$(< "$run/number")
    number=$((number + 1))
    echo "$number" > "$run/number.new"
    mv "$run/number.new" "$run/number"

    say "deposits that you book by hand: 1 eth and 1 $coin for the customer $customer"
    deposit "quickstart-$number-eth" eip155:31337/native 1ether
    deposit "quickstart-$number-$coin" "$chain/native" "1$coin"

    say "a withdrawal on the EVM chain: 0.05 eth to an address in the policy's book of customers"
    withdraw evm "quickstart-$number-eth" eip155:31337/native 0.05ether "$evm_payee" 0.01ether
    room eth
    say "a withdrawal on $chain: 0.25 $coin to anyone, up to the limits"
    withdraw utxo "quickstart-$number-$coin" "$chain/native" "0.25$coin" "$payee" "0.005$coin"
    room "$coin"
    refusal "quickstart-$number-stranger"

    audit

    jq --null-input --compact-output --slurpfile evm "$run/evm.json" --slurpfile utxo "$run/utxo.json" \
        --rawfile reason "$run/reason" \
        '{evm: $evm[0], utxo: $utxo[0], refused: {reason: ($reason | rtrimstr("\n"))}}' > "$run/result.json"
}

walletd_says() {
    local verb=("$@")
    strongroom "${verb[@]}" --profile "$run/walletd.toml"
}

# Shows what a command says, up to the summary of what was shown already.
show() { "$@" | sed --unbuffered '/^withdrawal /,$d; s/^/   /'; }

deposit() {
    show walletd_says credit --id "$1" --account "$customer" --asset "$2" --amount "$3" --memo "quick start"
}

order() {
    walletd_says withdraw --id "$1" --account "$customer" --asset "$2" --amount "$3" --to "$4" \
        --max-fee "$5" --wait
}

explain() { walletd_says --json withdrawals explain "$1"; }

# withdraw CHAIN ID ASSET AMOUNT TO FEE: until it is final, showing each stage. What it came to is what
# the chain's node says.
withdraw() {
    local txid deep
    show order "${@:2}"
    explain "$2" > "$run/explanation.json"
    txid=$(jq --exit-status --raw-output 'select(.withdrawal.stage == "final")
        | .attempts | map(select(.stage == "final")) | last | .place.txid' "$run/explanation.json") ||
        fail 1 "withdrawal $2 is $(jq --raw-output .withdrawal.stage "$run/explanation.json") and not final"
    deep=$(confirmations "$1" "$txid")
    [ "$deep" -ge "$final_depth" ] || fail 1 "$txid is final with $deep confirmations"
    jq --null-input --compact-output --arg txid "$txid" --argjson deep "$deep" \
        '{txid: $txid, confirmations: $deep}' > "$run/$1.json"
    tell "the node says: $deep confirmations"
}

confirmations() {
    local receipt
    case $1 in
        evm)
            receipt=$(call evm eth_getTransactionReceipt "[\"$2\"]")
            echo $(($(call evm eth_blockNumber) - $(jq --raw-output .blockNumber <<< "$receipt") + 1))
            ;;
        utxo) call utxo getrawtransaction "[\"$2\", true]" | jq .confirmations ;;
    esac
}

# What is left of the limits whose names begin so, as the signer says.
room() {
    strongroom status --profile "$run/signerd.toml" --policy "$run/policy/bundle" |
        awk -v prefix="$1-" '
            $1 == "limit" { name = $2 }
            $1 == "left" && index(name, prefix) == 1 { $1 = ""; print "   room left in " name ":" $0 }'
}

# What no statement allows. It holds neither a nonce nor coins while it waits for someone to change the
# policy, and can be cancelled.
refusal() {
    local status=0
    say 'a withdrawal that the policy refuses: 0.01 eth to an address that is in no book'
    show order "$1" eip155:31337/native 0.01ether "$stranger" 0.01ether || status=$?
    explain "$1" > "$run/explanation.json"
    if [ $status -ne 1 ] || ! jq --exit-status --raw-output \
        '.withdrawal.waiting | select(.reason == "signer-refused") | .reasons[0].code' \
        "$run/explanation.json" > "$run/reason"; then
        fail 1 "withdrawal $1 is not refused: $(jq --compact-output .withdrawal "$run/explanation.json")"
    fi
    say 'it holds neither a nonce nor coins, and waits for another policy; it is cancelled instead'
    walletd_says --json withdrawals cancel "$1" | jq --raw-output '"   " + .stage'
}

# All that the signer decided, held against the key of its log alone.
audit() {
    say "the signer's journal, copied; then verified by the copy alone"
    strongroom audit export --profile "$run/signerd.toml" --out "$run/audit" | sed "s|$repo/||; s/^/   /"
    strongroom audit verify --log-key "$(< "$run/log.key")" "$run/audit" | sed 's/^/   /'
}

farewell() {
    local strongroom=${bin#"$repo/"}/strongroom
    local walletd="--profile ${run#"$repo/"}/walletd.toml" signerd="--profile ${run#"$repo/"}/signerd.toml"
    say 'all of it runs'
    at anvil "$(< "$run/evm.url")"
    at "$node" "$(< "$run/utxo.url")   (user quickstart, password in ${run#"$repo/"}/node/password)"
    at signerd "https://127.0.0.1:$signerd_port   http://127.0.0.1:$signerd_health_port/metrics"
    at walletd "https://127.0.0.1:$walletd_port   http://127.0.0.1:$walletd_health_port/metrics"
    at logs "${run#"$repo/"}/logs"
    say 'what to try next, in this folder'
    tell "$strongroom withdrawals list $walletd" \
        "$strongroom withdrawals explain $walletd quickstart-$(< "$run/number")-eth" \
        "$strongroom status $walletd" \
        "$strongroom status $signerd --policy ${run#"$repo/"}/policy/bundle" \
        "$strongroom audit report ${run#"$repo/"}/audit $signerd --form html --out statement.html" \
        "$strongroom withdraw $walletd --id mine-1 --account $customer --asset $chain/native \\" \
        "    --to $payee --amount 0.1$coin --wait" \
        "kill -9 $(number_of walletd) while it waits, and deploy/quickstart, which starts what is gone" \
        'deploy/quickstart --stop'
}
