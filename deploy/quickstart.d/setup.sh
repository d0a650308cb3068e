# What is there before anything runs: packages, programs, certificates, keys, the policy, the
# configuration. Sourced.
# shellcheck shell=bash disable=SC2034,SC2154

lock() {
    exec 9> "$run/lock"
    flock --nonblock 9 || fail 1 "another quickstart is at work in $run"
    locked=yes
}

prerequisites() {
    local program
    [ "$(uname -s -m)" = 'Linux x86_64' ] || fail 2 'it is made for Linux on x86-64'
    for program in node npm; do
        command -v "$program" > /dev/null || fail 2 "$program is missing: install Node.js 20 first"
    done
    [ -n "${STRONGROOM_BIN-}" ] || command -v cargo > /dev/null ||
        fail 2 'cargo is missing: install Rust first (rustup)'
    if [ -n "${BITCOIND_EXE-}" ]; then
        BITCOIND_EXE=$(command -v "$BITCOIND_EXE") || fail 2 'BITCOIND_EXE names no program'
        BITCOIND_EXE=$(realpath "$BITCOIND_EXE")
    fi
}

# Debian's packages, each with what tells that it is there.
packages() {
    local packages=(
        softhsm2:/usr/lib/softhsm/libsofthsm2.so
        openssh-client:ssh-keygen
        curl:curl
        jq:jq
    )
    local missing=() package as_root=()
    [ -n "${BITCOIND_EXE-}" ] || packages+=(litecoind:litecoind)
    [ -n "${STRONGROOM_BIN-}" ] || packages+=(gcc:cc libc6-dev:/usr/include/stdlib.h)
    for package in "${packages[@]}"; do
        there "${package#*:}" || missing+=("${package%%:*}")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        say "Debian's packages: all there (${packages[*]%%:*})"
        return
    fi
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    say "Debian's packages that are missing, to be installed with apt${as_root:+ and sudo}: ${missing[*]}"
    command -v "${as_root[0]:-apt-get}" > /dev/null ||
        fail 2 "sudo is missing: as root, apt-get install ${missing[*]}"
    # Asked for here, where the question is seen.
    [ ${#as_root[@]} -eq 0 ] || sudo -v || fail 3 'sudo refuses'
    step 'installing them' apt "${missing[@]}"
    for package in "${packages[@]}"; do
        there "${package#*:}" || fail 3 "${package%%:*} was installed and ${package#*:} is not there"
    done
}

apt() {
    "${as_root[@]}" apt-get update || fail 3 'apt-get update failed'
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "$@" || fail 3 'apt-get install failed'
}

there() {
    case $1 in
        /*) [ -e "$1" ] ;;
        *) command -v "$1" > /dev/null ;;
    esac
}

# anvil in the version that the tests have, from where they have it, or by npm with the hash that
# their lock file has.
install_anvil() {
    local package=@foundry-rs/anvil-linux-amd64 version folder
    version=$(jq --raw-output ".dependencies[\"$package\"]" "$repo/softhsm-tests/package.json")
    for folder in "$repo/softhsm-tests" "$run/npm"; do
        anvil=$folder/node_modules/$package/bin/anvil
        if has_version "${anvil%/bin/anvil}" "$version"; then
            say "anvil $version: ${anvil#"$repo/"}"
            return
        fi
    done
    step "anvil $version, by npm into ${run#"$repo/"}/npm" npm_install "$package"
    has_version "${anvil%/bin/anvil}" "$version" || fail 3 "npm did not install $package $version"
}

has_version() {
    [ -x "$1/bin/anvil" ] && [ "$(jq --raw-output .version "$1/package.json")" = "$2" ]
}

npm_install() {
    mkdir -p "$run/npm"
    jq "{private: true, dependencies: (.dependencies | {\"$1\"})}" \
        "$repo/softhsm-tests/package.json" > "$run/npm/package.json"
    jq "{lockfileVersion, requires, packages: {
            \"\": {dependencies: (.packages[\"\"].dependencies | {\"$1\"})},
            \"node_modules/$1\": .packages[\"node_modules/$1\"]}}" \
        "$repo/softhsm-tests/package-lock.json" > "$run/npm/package-lock.json"
    (cd "$run/npm" && npm ci --ignore-scripts --no-fund --no-audit --cache "$run/npm/cache") ||
        fail 3 'npm ci failed'
}

build() {
    if [ -n "${STRONGROOM_BIN-}" ]; then
        bin=$(cd "$STRONGROOM_BIN" && pwd)
        say "signerd, walletd, strongroom: ${bin#"$repo/"}"
    else
        bin=$repo/target/release
        step 'building signerd, walletd and strongroom in release mode (minutes, the first time)' \
            cargo build --release --locked --manifest-path "$repo/Cargo.toml" --target-dir "$repo/target" \
            -p signerd -p walletd -p strongroom
    fi
    local program
    for program in signerd walletd strongroom; do
        [ -x "$bin/$program" ] || fail 2 "$bin has no $program"
    done
}

strongroom() { "$bin/strongroom" "$@"; }

# make_once WHAT NAME COMMAND: a folder that the command fills under another name, so that one that is
# half made is never used.
make_once() {
    if [ -d "$run/$2" ]; then
        say "$1: there already"
        return
    fi
    rm -rf "$run/$2.new"
    mkdir --mode 700 "$run/$2.new"
    step "$1" "$3" "$run/$2.new"
    mv "$run/$2.new" "$run/$2"
}

make_pki() {
    local name
    strongroom pki --dir "$1" init --name "Strongroom's quick start"
    for name in signerd walletd; do
        strongroom pki --dir "$1" issue server --name "$name-api" --dns localhost --ip 127.0.0.1 \
            --days 3600 --out "$1/servers"
    done
    for name in walletd operator; do
        strongroom pki --dir "$1" issue client --name "$name" --days 3600 --out "$1/clients"
    done
}

# The PINs guard nothing from whoever can read this file; they are made all the same.
make_token() {
    local key
    (umask 077; for pin in pin so-pin; do shuf --input-range 10000000-99999999 --head-count 1 > "$1/$pin"; done)
    softhsm "$1"
    on_token "$1" init --so-pin-file "$1/so-pin"
    for key in eth-hot-1 "$coin-hot-1" "$coin-hot-2"; do
        on_token "$1" generate --name "$key"
    done
    on_token "$1" generate --name journal-1 --purpose checkpoint --algorithm ed25519
    cp --archive "$1/tokens" "$1/copy"
}

# softhsm FOLDER: its configuration names the folder by its whole path.
softhsm() {
    mkdir -p "$1/tokens"
    printf '%s\n' "directories.tokendir = $1/tokens" 'objectstore.backend = file' \
        'objectstore.umask = 0077' 'log.level = ERROR' > "$1/softhsm2.conf"
}

on_token() {
    local folder=$1 verb=$2
    shift 2
    SOFTHSM2_CONF=$folder/softhsm2.conf strongroom keys "$verb" --module "$module" \
        --token strongroom --pin-file "$folder/pin" --profile "$profile" "$@"
}
module=/usr/lib/softhsm/libsofthsm2.so
profile=$repo/firmware-profiles/softhsm-2.6.toml

# The repository's bundle for this coin, and what is of this site: people, and the clients' authority.
make_policy() {
    local person bundle=$1/bundle
    cp --recursive "$repo/policy/quickstart" "$bundle"
    if [ "$coin" = btc ]; then
        find "$bundle" -type f -exec sed -i 's/litecoin:regtest/bitcoin:regtest/g; s/ltc/btc/g' {} +
    fi
    mkdir "$bundle/roots"
    cp "$run/pki/ca.pem" "$bundle/roots/clients.pem"
    for person in alice bob; do
        ssh-keygen -q -t ed25519 -N '' -C "$person" -f "$1/$person"
        printf '[[person]]\nname = "%s"\nkeys = ["%s"]\n\n' "$person" \
            "$(cut --delimiter ' ' --fields 1,2 "$1/$person.pub")"
    done > "$bundle/people.toml"
    printf '[governance]\nthreshold = 2\nofficers = ["alice", "bob"]\ndelay = "24h"\n' >> "$bundle/people.toml"
    strongroom policy check "$bundle"
    # The cases have Litecoin's addresses, whose checksums name the chain.
    [ "$coin" = btc ] || strongroom policy test "$bundle" "$repo/policy/quickstart.test.toml"
    strongroom policy sign "$bundle" --fleet quickstart --sequence 1 --key "$1/alice"
    strongroom policy sign "$bundle" --key "$1/bob"
}

# Ports of 127.0.0.1: those of the last time, while nobody else has them.
choose_ports() {
    local name port taken='' names=(signerd signerd_health walletd walletd_health anvil node)
    local -A owner=([signerd_health]=signerd [walletd_health]=walletd [node]=$node) chosen=()
    if [ -e "$run/ports" ]; then
        # shellcheck source=/dev/null
        source "$run/ports"
        for name in "${names[@]}"; do
            port=${name}_port
            if ! running "${owner[$name]-$name}" && listening "${!port}"; then taken=${!port}; fi
        done
        [ -n "$taken" ] || return 0
        say "port $taken is taken by another program: all move"
        stop_all
    fi
    while [ ${#chosen[@]} -lt ${#names[@]} ]; do
        port=$((20000 + RANDOM % 12000))
        listening "$port" || chosen[$port]=
    done
    set -- "${!chosen[@]}"
    for name in "${names[@]}"; do
        echo "${name}_port=$1"
        shift
    done > "$run/ports.new"
    mv "$run/ports.new" "$run/ports"
    # shellcheck source=/dev/null
    source "$run/ports"
}

listening() { (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
