# The chains, the daemons, and the money in the hot wallets. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154

# The confirmations after which a payment on the Bitcoin-like chain is final here. On a chain where
# coins have a price it would be more.
final_depth=3

# litecoind from Debian, or the user's bitcoind. A folder that was set up for one of them keeps it:
# the policy in it names the chain.
choose_chain() {
    local before
    node=litecoind coin=ltc chain=litecoin:regtest
    node_program=$(command -v litecoind || true)
    # Nobody's: their private keys are 1 and 2.
    payee=rltc1qw508d6qejxtdg4y5r3zarvary0c5xw7k693xs3
    miner=rltc1qq6hag67dl53wl99vzg42z8eyzfz2xlkvsmqqf9
    if [ -n "${BITCOIND_EXE-}" ]; then
        node=bitcoind coin=btc chain=bitcoin:regtest
        node_program=$BITCOIND_EXE
        payee=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080
        miner=bcrt1qq6hag67dl53wl99vzg42z8eyzfz2xlkvwk6f7m
    fi
    if [ -e "$run/chain" ]; then
        before=$(< "$run/chain")
        [ "$before" = "$chain" ] ||
            fail 2 "$run was set up for $before, and this is $chain: set BITCOIND_EXE as before, or remove the folder after --stop"
    fi
    echo "$chain" > "$run/chain"
}

# Written anew at each start: ports may have moved.
configure() {
    if ! running signerd && ! running walletd; then
        strongroom pki --dir "$run/pki" crl --days 365 > /dev/null
    fi
    echo "http://127.0.0.1:$anvil_port" > "$run/evm.url"
    echo "http://127.0.0.1:$node_port" > "$run/utxo.url"
    echo "$miner" > "$run/miner.address"
    softhsm "$run/token"
    mkdir -p "$run/signerd" "$run/walletd" "$run/anvil" "$run/node/data"
    configure_node
    configure_signerd > "$run/signerd/signerd.toml"
    local client
    for client in signerd walletd; do
        configure_client "$client" > "$run/$client.toml"
    done
}

configure_node() {
    (
        umask 077
        [ -e "$run/node/password" ] || head --bytes 32 /dev/urandom | sha256sum | cut --characters 1-32 > "$run/node/password"
        printf 'user = "quickstart:%s"\n' "$(< "$run/node/password")" > "$run/node/login"
        cat > "$run/node/node.conf" << END
regtest=1
server=1
disablewallet=1
txindex=1
dbcache=16
printtoconsole=0
rpcuser=quickstart
rpcpassword=$(< "$run/node/password")
[regtest]
connect=0
listen=0
rpcport=$node_port
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
END
    )
}

configure_signerd() {
    cat << END
data = "$run/signerd/data"
policy = "$run/policy/bundle"
genesis = "sha256:$(sha256sum "$run/policy/bundle/manifest" | cut --delimiter ' ' --fields 1)"

[api]
listen = "127.0.0.1:$signerd_port"
certificate = "$run/pki/servers/signerd-api.pem"
key = "$run/pki/servers/signerd-api.key"
crls = ["$run/pki/crl.pem"]

[health]
listen = "127.0.0.1:$signerd_health_port"

[device]
module = "$module"
token = "strongroom"
pin_file = "$run/token/pin"
profile = "$profile"
checkpoint_key = "journal-1"
environment = { SOFTHSM2_CONF = "$run/token/softhsm2.conf" }
END
}

# configure_client DAEMON: how you reach it.
configure_client() {
    local port=$1_port health=$1_health_port
    cat << END
connect = "127.0.0.1:${!port}"
ca = "$run/pki/ca.pem"
certificate = "$run/pki/clients/operator.pem"
key = "$run/pki/clients/operator.key"
health = "127.0.0.1:${!health}"
END
    # Pinned from the first start on: the signer's log is that one or it is not believed.
    [ ! -e "$run/log.key" ] || [ "$1" != signerd ] || printf 'log_key = "%s"\n' "$(< "$run/log.key")"
}

at() { tell "$(printf '%-10s %s' "$1" "$2")"; }

start_chains() {
    step 'a private EVM chain, and a private Bitcoin-like one' await_chains
    at anvil "$(< "$run/evm.url")"
    at "$node" "$(< "$run/utxo.url")   (user quickstart, password in node/password)"
}

await_chains() {
    HOME=$run/anvil start anvil "$anvil" --quiet --host 127.0.0.1 --port "$anvil_port" \
        --chain-id 31337 --threads 1 --no-mining --slots-in-an-epoch 1 \
        --state "$run/anvil/state.json" --state-interval 1
    HOME=$run/node start "$node" "$node_program" -datadir="$run/node/data" -conf="$run/node/node.conf"
    await anvil 'an answer of anvil' call evm eth_chainId
    await "$node" "an answer of $node" call utxo getblockcount
}

start_signerd() {
    if running signerd; then
        say 'signerd runs already'
    else
        # SoftHSM writes its token's file at every login and loses the token if it is killed then.
        rm -rf "$run/token/tokens"
        cp --archive "$run/token/copy" "$run/token/tokens"
        [ -d "$run/signerd/data" ] || step "signerd's journal, begun once" bootstrap
        step 'signerd, the signer' await_signerd
    fi
    at signerd "https://127.0.0.1:$signerd_port (mTLS), health http://127.0.0.1:$signerd_health_port"
    strongroom --json status --profile "$run/signerd.toml" > "$run/status.json" ||
        fail 1 'signerd does not say which keys it has'
    if [ ! -e "$run/log.key" ]; then
        jq --exit-status --raw-output .journal.log_key "$run/status.json" > "$run/log.key.new" ||
            fail 1 'signerd does not say which key signs its log'
        mv "$run/log.key.new" "$run/log.key"
        configure_client signerd > "$run/signerd.toml"
    fi
    tell "the key of its log, pinned from now on: $(< "$run/log.key")"
    evm_hot=$(hot_address "eth-hot-1" eip155:31337)
    utxo_hot=$(hot_address "$coin-hot-1" "$chain")
}

bootstrap() {
    rm -rf "$run/signerd/data.new"
    mkdir --mode 700 "$run/signerd/data.new"
    sed 's|^data = .*|data = "'"$run"'/signerd/data.new"|' "$run/signerd/signerd.toml" > "$run/signerd/bootstrap.toml"
    "$bin/signerd" --config "$run/signerd/bootstrap.toml" --bootstrap
    mv "$run/signerd/data.new" "$run/signerd/data"
}

await_signerd() {
    start signerd "$bin/signerd" --config "$run/signerd/signerd.toml"
    await signerd 'signerd that is ready' healthy "$signerd_health_port"
}

healthy() { curl --silent --fail --max-time 5 "http://127.0.0.1:$1/readyz"; }

hot_address() {
    jq --exit-status --raw-output --arg key "$1" --arg chain "$2" \
        '.keys[] | select(.name == $key) | .addresses[] | select(.chain == $chain) | .address' \
        "$run/status.json" || fail 1 "signerd shows no address of $1"
}

# Money from nowhere. Coins are mined to the hot wallet; a block's can be spent after 100 more.
fund() {
    local have missing
    have=$(call evm eth_getBalance "[\"$evm_hot\", \"latest\"]")
    # 0x and at least 18 digits: above 75 ETH.
    if [ ${#have} -lt 19 ]; then
        call evm anvil_setBalance "[\"$evm_hot\", \"0x56bc75e2d63100000\"]" > /dev/null
        mine evm
        say 'the EVM hot wallet has 100 ETH now, by anvil_setBalance'
    fi
    missing=$((110 - $(call utxo getblockcount)))
    if [ $missing -gt 0 ]; then
        step "mining $missing blocks, so that the first ten's coins can be spent" \
            generate "$missing" "$utxo_hot"
    fi
    tell "hot wallets: $evm_hot" "             $utxo_hot"
}

start_miner() {
    if ! running miner; then
        start miner "$repo/deploy/quickstart.d/miner" "$run" "$final_depth"
        say 'a miner: a block every two seconds while something waits for one'
    fi
}

stop_all() {
    local name
    for name in miner walletd signerd anvil litecoind bitcoind; do
        stop "$name"
    done
}
