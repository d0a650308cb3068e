# The two nodes' JSON-RPC. Sourced; needs $run.
# shellcheck shell=bash disable=SC2034,SC2154

# call CHAIN METHOD [PARAMETERS]: the result, or the node's error on stderr.
call() {
    local params=${3:-[]} answer login=() url
    case $1 in
        evm) url=$(< "$run/evm.url") ;;
        utxo) url=$(< "$run/utxo.url") login=(--config "$run/node/login") ;;
    esac
    answer=$(curl --silent --show-error --max-time 60 "${login[@]}" \
        --header 'content-type: application/json' \
        --data '{"jsonrpc":"2.0","id":1,"method":"'"$2"'","params":'"$params"'}' "$url") || return 1
    if ! jq --exit-status 'has("result") and (.error == null)' <<< "$answer" > /dev/null 2>&1; then
        echo "$2: ${answer:0:500}" >&2
        return 1
    fi
    jq --raw-output .result <<< "$answer"
}

# mine CHAIN: one block. The coins go to whoever knows the private key 2.
mine() {
    case $1 in
        evm) call evm evm_mine ;;
        utxo) generate 1 "$(< "$run/miner.address")" ;;
    esac > /dev/null
}

# generate BLOCKS ADDRESS. A node that is killed forgets the blocks that it has not yet written, which
# after three confirmations would look like an attack; it writes them before it counts its coins.
generate() {
    call utxo generatetoaddress "[$1, \"$2\"]"
    call utxo gettxoutsetinfo '["none"]'
}
