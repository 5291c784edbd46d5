#!/usr/bin/env bash

# Copyright (C) ngx_apikey_module contributors

# The one entry point: ./build.sh help

set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
build=$root/build


# The packages, by what they are needed for.

declare -A packages=(
    [build]="gcc libc6-dev make pkg-config libhiredis-dev libssl-dev
             libjansson-dev zlib1g-dev libpcre2-dev"
    [nginx]="nginx nginx-dev"
    [run]="curl perl"
    [redis]="redis-server"
    [test]="libcmocka-dev nghttp2-client openssl libcrypt-jwt-perl
            libio-socket-ssl-perl"
    [bench]="wrk nghttp2-client valgrind openssl libcrypt-jwt-perl"
    [valgrind]="valgrind"
    [lint]="shellcheck"
)


usage() {
    cat <<END
usage: ./build.sh [COMMAND] [ARGUMENTS]

  build             the module and apikeyctl (without a COMMAND: this)
  test [--store KIND] [FILES]
                    builds, runs the unit programs and t/*.t; KIND: where the
                    keys are, tcp unix tls sentinel or cluster
  asan [FILES]      the same, under AddressSanitizer and UBSan
  valgrind [FILES]  the same, under valgrind
  demo [--embedded] [--once]
                    starts nginx, redis and an upstream of its own, shows what
                    happens, and stays up; --embedded: keys in a file, without
                    redis; --once: ends, with 0 if all is right
  bench [OPTIONS]   CPU time and instructions a request; bench --help
  bench stores [OPTIONS]
                    memory and time of look-ups among many keys
  bench jwt [OPTIONS]
                    CPU time of tokens, seen before and not
  bench abuse [OPTIONS]
                    what made-up keys cost, of one source and of many
  bench revoke [OPTIONS]
                    how long a revoked key still passes
  bench fleet [OPTIONS]
                    what is noticed of servers that change or die
  lint              style, layers and warnings
  sdk               fetches the npm packages that t/sdk_*.t can use
  install           the module for nginx, apikeyctl to PREFIX/bin
  deps [SETS]       installs missing Debian packages: build nginx run redis test
                    (without SETS: these five), bench valgrind lint, all
  clean             removes build/
  help              this

results:
  build/ngx_apikey_module.so, build/apikeyctl

environment:
  NGX_SRC=DIR       sources of another nginx; where they are complete, that
                    nginx is built too and the tests run with it
  NGX_CONF="..."    more arguments for its configure
  CC, CFLAGS, LDFLAGS
  PREFIX, DESTDIR   for install; PREFIX is /usr/local
  JOBS              how many at once; as many as there are processors
END
}


say() {
    printf '%s\n' "build.sh: $*" >&2
}


die() {
    say "$@"
    exit 1
}


jobs_max() {
    printf '%s' "${JOBS:-$(nproc 2>/dev/null || echo 2)}"
}


# nginx is in a folder that an ordinary user's PATH leaves out.

nginx_path() {
    if [ -n "${APIKEY_NGINX:-}" ]; then
        printf '%s\n' "$APIKEY_NGINX"

    else
        PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx || true
    fi
}


# Installs what is missing of the sets, and is silent when nothing is.

need() {
    local set missing wanted=()

    for set in "$@"; do
        if [ "$set" = nginx ] && [ -n "${NGX_SRC:-}" ]; then
            continue
        fi

        [ -n "${packages[$set]:-}" ] || die "deps: there is no set \"$set\""
        read -r -d '' -a wanted <<< "${wanted[*]} ${packages[$set]}" || true
    done

    if ! command -v dpkg-query > /dev/null; then
        say "this is not Debian: make sure that there are ${wanted[*]}"
        return
    fi

    missing=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' \
                  "${wanted[@]}" 2> /dev/null \
              | awk -v wanted="${wanted[*]}" '
                    $2 == "installed" { have[$1] = 1 }
                    END {
                        n = split(wanted, name, " ")
                        for (i = 1; i <= n; i++) {
                            if (!(name[i] in have) && !seen[name[i]]++) {
                                printf "%s ", name[i]
                            }
                        }
                    }' || true)

    [ -n "$missing" ] || return 0

    if [ "$(id -u)" -ne 0 ]; then
        die "packages are missing; as root: apt-get install $missing"
    fi

    say "installing $missing"
    export DEBIAN_FRONTEND=noninteractive

    apt-get -qq update

    # shellcheck disable=SC2086
    apt-get -qq install -y --no-install-recommends $missing > /dev/null \
        || die "apt-get could not install $missing"
}


cmd_deps() {
    if [ $# -eq 0 ]; then
        set -- build nginx run redis test

    elif [ "$1" = all ]; then
        set -- build nginx run redis test bench valgrind lint
    fi

    need "$@"
}


# Compiler flags of a flavour, as Debian builds nginx.

flavour_flags() {
    case $1 in
        plain)
            cc_opt="-O2 -g -fstack-protector-strong -Wformat
                    -Werror=format-security -D_FORTIFY_SOURCE=2"
            ld_opt="-Wl,-z,relro -Wl,-z,now"
            ;;

        asan)
            cc_opt="-O1 -g -fno-omit-frame-pointer
                    -fsanitize=address,undefined"
            ld_opt="-fsanitize=address,undefined"
            ;;
    esac

    cc_opt="$cc_opt -ffile-prefix-map=$root=. ${CFLAGS:-}"
    ld_opt="$ld_opt ${LDFLAGS:-}"

    cc_opt=$(tr -s ' \n' ' ' <<< "$cc_opt")
    ld_opt=$(tr -s ' \n' ' ' <<< "$ld_opt")
}


# The folder to configure in: a tree of links to the sources, so that nothing
# is written there.

nginx_tree() {
    local src=$1 tree=$2 name

    rm -rf "$tree"
    mkdir -p "$tree"

    for name in "$src"/*; do
        case ${name##*/} in
            objs | Makefile) ;;
            *) ln -s "$name" "$tree/" ;;
        esac
    done

    if [ ! -e "$tree/configure" ]; then
        ln -s auto/configure "$tree/configure"
    fi
}


# Configures nginx where something that matters has changed since.

nginx_configure() {
    local src=$1 out=$2 cc_opt=$3 ld_opt=$4
    local NGX_CONF_FLAGS=(--with-compat --with-http_ssl_module
                          --with-http_v2_module
                          --with-http_auth_request_module
                          --with-http_realip_module --with-threads
                          --with-debug)
    local more=() stamp

    if [ -e "$src/conf_flags" ]; then
        # shellcheck disable=SC1091
        . "$src/conf_flags"
    fi

    read -r -a more <<< "${NGX_CONF:-}" || true

    if [ -n "${CC:-}" ]; then
        more+=("--with-cc=$CC")
    fi

    set -- --with-cc-opt="$cc_opt -fPIC" --with-ld-opt="$ld_opt" \
        "${NGX_CONF_FLAGS[@]}" "${more[@]}" \
        --add-dynamic-module="$root" --builddir="$out"

    stamp=$(printf '%s\n' "$src" "$@" "$root"/common/*.[ch] \
                "$root"/common/modules/*.[ch] "$root"/ngx_apikey_module/*.[ch]
            cksum "$root/config" "$src/src/core/nginx.h" "$src/auto/make")

    if [ "$stamp" = "$(cat "$out/configured" 2> /dev/null)" ]; then
        return
    fi

    rm -rf "$out"
    mkdir -p "$out"
    nginx_tree "$src" "$out.tree"

    if ! (cd "$out.tree" && ASAN_OPTIONS=detect_leaks=0 \
          ./configure "$@" > "$out/configure.log" 2>&1)
    then
        tail -n 3 "$out/configure.log" >&2
        die "nginx could not be configured; see $out/configure.log"
    fi

    printf '%s\n' "$stamp" > "$out/configured"
}


# The module loads only into the nginx whose headers it was built with.

nginx_check_version() {
    local src=$1 nginx have want

    nginx=$(nginx_path)
    [ -n "$nginx" ] || return 0

    have=$($nginx -v 2>&1 | sed -n 's,^nginx version: [^/]*/\([^ ]*\).*,\1,p')
    want=$(sed -n 's/^#define NGINX_VERSION  *"\(.*\)"/\1/p' \
               "$src/src/core/nginx.h")

    if [ "$have" != "$want" ]; then
        die "nginx is $have, its headers in $src are of $want;" \
            "set NGX_SRC to the sources of $have"
    fi
}


# Builds a flavour; its results are in $1.

build_flavour() {
    local dest=$1 flavour=$2 src=/usr/share/nginx/src full=
    local out=$1/nginx cc_opt ld_opt what=modules

    case $root in
        *[[:space:]]*) die "nginx cannot be built in a path with a blank" ;;
    esac

    flavour_flags "$flavour"

    if [ -n "${NGX_SRC:-}" ]; then
        src=$(cd -- "$NGX_SRC" 2> /dev/null && pwd -P) \
            || die "NGX_SRC=$NGX_SRC: there is no such folder"
        out=$dest/nginx-src
    fi

    if [ ! -e "$src/src/core/nginx.h" ] || [ ! -e "$src/auto/make" ]; then
        die "$src holds no nginx sources"
    fi

    if [ -e "$src/src/core/nginx.c" ]; then
        full=1
        what="binary modules"

    else
        nginx_check_version "$src"
    fi

    nginx_configure "$src" "$out" "$cc_opt" "$ld_opt"

    # shellcheck disable=SC2086
    make -s -j "$(jobs_max)" -C "$out.tree" -f "$out/Makefile" $what >&2

    put "$out/ngx_apikey_module.so" "$dest/ngx_apikey_module.so"

    if [ -n "$full" ]; then
        put "$out/nginx" "$dest/nginx-bin"

    else
        rm -f "$dest/nginx-bin"
    fi

    make -s -j "$(jobs_max)" -C "$root/common" BUILD="$dest" \
        CC="${CC:-cc}" CFLAGS="$cc_opt" LDFLAGS="$ld_opt" "${@:3}" >&2
}


# Copies what is different.  A server may have the old one mapped.

put() {
    if ! cmp -s "$1" "$2"; then
        cp -- "$1" "$2.new"
        mv -- "$2.new" "$2"
    fi
}


# One at a time.

locked() {
    mkdir -p "$build"

    (
        flock 9
        "$@" 9>&-
    ) 9>> "$build/.lock"
}


cmd_build() {
    need build nginx
    locked build_flavour "$build" plain all
}


# Tells the tests what they test.

export_flavour() {
    export APIKEY_FLAVOUR=$1
    export APIKEY_MODULE=$2/ngx_apikey_module.so
    export APIKEYCTL=$2/apikeyctl

    if [ -x "$2/nginx-bin" ]; then
        export APIKEY_NGINX=$2/nginx-bin

    elif [ -z "${APIKEY_NGINX:-}" ]; then
        APIKEY_NGINX=$(nginx_path)
        [ -n "$APIKEY_NGINX" ] || die "there is no nginx"
        export APIKEY_NGINX
    fi
}


# Tells the tests where the keys are, if the first words say so.

export_store() {
    [ "${1:-}" = --store ] || return 0

    case ${2:-} in
        tcp | unix | tls | sentinel | cluster) export APIKEY_TEST_STORE=$2 ;;
        *) die "--store: one of tcp unix tls sentinel cluster" ;;
    esac
}


# Runs the unit programs and the tests, or those that are named.

run_tests() {
    local flavour=$1 dest=$2 name unit=() t=() exec='' bad=0
    shift 2

    if [ "${1:-}" = --store ]; then
        shift 2
    fi

    if [ $# -eq 0 ]; then
        for name in "$root"/t/unit/*.c; do
            [ -e "$name" ] || continue
            set -- "$@" "$name"
        done

        for name in "$root"/t/*.t; do
            [ -e "$name" ] || continue

            # The tests of this file start no nginx.
            case $flavour:${name##*/} in
                asan:build_* | valgrind:build_*) ;;
                *) set -- "$@" "$name" ;;
            esac
        done
    fi

    for name in "$@"; do
        case $name in
            *.t)
                [ -e "$name" ] || name=$root/t/${name##*/}
                [ -e "$name" ] || die "$name: no such test"
                t+=("$(realpath --relative-to="$root" -- "$name")")
                ;;

            *)
                name=${name##*/}
                name=$dest/unit/${name%.c}
                [ -x "$name" ] || die "$name: no such unit program"
                unit+=("$(realpath --relative-to="$root" -- "$name")")
                ;;
        esac
    done

    exec="timeout $(test_seconds "$flavour")"

    if [ "$flavour" = valgrind ]; then
        exec="$exec valgrind -q --error-exitcode=99 --leak-check=full
              --errors-for-leak-kinds=definite,indirect,possible"
    fi

    cd "$root"
    export CMOCKA_MESSAGE_OUTPUT=TAP

    if [ ${#unit[@]} -ne 0 ]; then
        prove -j "$(jobs_max)" -e "$exec" "${unit[@]}" || bad=1
    fi

    if [ ${#t[@]} -ne 0 ]; then
        prove_files "$flavour" "$dest" "${t[@]}" || bad=1
    fi

    if [ $bad -ne 0 ]; then
        die "there are failures"
    fi
}


# What no test needs: one that waits for ever is ended, and fails.
test_seconds() {
    case $1 in
        valgrind) echo 6000 ;;
        *) echo 1200 ;;
    esac
}


# Several at once; and a few that failed there once more, alone: many of them
# measure time, or wait for servers to agree, which a machine may be too busy
# for.  It is told of them.
prove_files() {
    local dest=$2 exec state failed
    exec="perl -It/lib -MTestDeadline=$(test_seconds "$1")"
    shift 2

    if [ $# -eq 1 ]; then
        prove -e "$exec" "$1"
        return
    fi

    state=$(mktemp "$dest/prove.XXXXXX")
    rm -f "$state"

    if prove -j "$(jobs_max)" --state=save --statefile="$state" -e "$exec" "$@"
    then
        rm -f "$state"
        return 0
    fi

    mapfile -t failed < <(prove -D --state=failed --statefile="$state")
    rm -f "$state"

    if [ ${#failed[@]} -eq 0 ] || [ ${#failed[@]} -gt 6 ]; then
        return 1
    fi

    printf 'build.sh: failed beside others, and run again alone: %s\n' \
        "${failed[*]}"
    prove -e "$exec" "${failed[@]}"
}


cmd_test() {
    export_store "$@"
    need build nginx run redis test
    locked build_flavour "$build" plain all unit
    export_flavour plain "$build"
    run_tests plain "$build" "$@"
}


cmd_asan() {
    export_store "$@"
    need build nginx run redis test
    mkdir -p "$build/asan"
    locked build_flavour "$build/asan" asan all unit
    export_flavour asan "$build/asan"
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    run_tests asan "$build/asan" "$@"
}


cmd_valgrind() {
    export_store "$@"
    need build nginx run redis test valgrind
    locked build_flavour "$build" plain all unit
    export_flavour valgrind "$build"
    run_tests valgrind "$build" "$@"
}


cmd_demo() {
    case " $* " in
        *" --embedded "*) need build nginx run ;;
        *) need build nginx run redis ;;
    esac

    locked build_flavour "$build" plain all
    export_flavour plain "$build"
    exec perl -I"$root/t/lib" "$root/t/lib/demo.pl" "$@"
}


cmd_bench() {
    local bench

    need build nginx run redis bench
    locked build_flavour "$build" plain all

    # the load is made by the tests' program

    case ${1:-} in
        revoke | fleet)
            need test
            locked build_flavour "$build" plain unit
            ;;
    esac

    export_flavour plain "$build"

    case ${1:-} in
        stores | jwt | abuse | revoke | fleet)
            bench=$1
            shift
            set -- "$root/bench/$bench" "$@"
            ;;

        *) set -- "$root/bench/run" "$@" ;;
    esac

    exec perl -I"$root/t/lib" -I"$root/bench" "$@"
}


# No file of the library has data that changes, or calls the network: what the
# headers promise, seen in what was compiled.

lint_library() {
    local lib=$1 found

    found=$(size -A "$lib" \
            | awk '/^ak_|\.o/ { name = $1 }
                   $1 ~ /^\.(data|bss|tdata|tbss)$/ && $2 > 0 {
                       print name ": has mutable data"
                   }')

    found+=${found:+$'\n'}$(nm -u "$lib" 2> /dev/null \
             | awk '/\.o:$/ { name = $1 }
                    $1 == "U" && $2 ~ /^(socket|connect|accept|bind|listen|\
recv|recvfrom|send|sendto|poll|select|epoll_.*|getaddrinfo|sleep|nanosleep)$/ {
                        print name " calls " $2
                    }')

    if [ -n "${found//$'\n'/}" ]; then
        printf '%s\n' "$found"
        return 1
    fi
}


# Style and layers by a script, the rest by the compilers and the shell's own
# checker, where there are such.

cmd_lint() {
    local bad=0 cc file scripts=() lint=$build/lint

    mkdir -p "$lint"
    perl "$root/.ci/lint" "$root" || bad=1

    for cc in gcc clang; do
        if ! command -v $cc > /dev/null; then
            say "lint: there is no $cc"
            continue
        fi

        make -s -k -j "$(jobs_max)" -C "$root/common" BUILD="$lint/$cc" \
            CC=$cc WARN="-Wall -Wextra -Werror" CFLAGS=-O2 LDFLAGS= \
            all unit || bad=1
    done

    if [ -e "$lint/gcc/libak.a" ]; then
        lint_library "$lint/gcc/libak.a" || bad=1
    fi

    for file in "$root"/t/*.t "$root"/t/lib/*.p[lm] \
                "$root"/bench/{Bench.pm,run,stores,jwt,abuse,revoke,fleet}; do

        perl -I"$root/t/lib" -I"$root/bench" -c "$file" > "$lint/perl" 2>&1 \
            || { cat "$lint/perl"; bad=1; }
    done

    for file in "$root"/build.sh "$root"/.ci/* "$root"/bench/*; do
        if [ -f "$file" ] && head -n 1 "$file" | grep -q 'sh$'; then
            scripts+=("$file")
        fi
    done

    if command -v shellcheck > /dev/null; then
        shellcheck "${scripts[@]}" || bad=1

    else
        say "lint: there is no shellcheck"
    fi

    [ $bad -eq 0 ] || die "lint: there is something to mend"
    say "lint: clean"
}


# For the tests with a real SDK; they are skipped where it is not.

cmd_sdk() {
    if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
        say "sdk: there is no node with npm; its tests will be skipped"
        return
    fi

    if [ -e "$build/sdk/node_modules/openai/package.json" ] \
        && [ -e "$build/sdk/node_modules/jose/package.json" ]; then
        return
    fi

    mkdir -p "$build/sdk"

    npm install --silent --no-audit --no-fund --no-package-lock \
        --prefix "$build/sdk" openai jose \
        > "$build/sdk/npm.log" 2>&1 < /dev/null \
        || say "sdk: npm could not fetch it; see $build/sdk/npm.log"
}


cmd_install() {
    local dir nginx modules bin=${DESTDIR:-}${PREFIX:-/usr/local}/bin

    cmd_build

    nginx=$(nginx_path)
    [ -n "$nginx" ] || die "install: there is no nginx"

    modules=$($nginx -V 2>&1 | tr ' ' '\n' \
              | sed -n 's/^--modules-path=//p')

    if [ -z "$modules" ]; then
        modules=$($nginx -V 2>&1 | tr ' ' '\n' | sed -n 's/^--prefix=//p')
        modules=${modules:-/usr/local/nginx}/modules
    fi

    install -D -m 644 "$build/ngx_apikey_module.so" \
        "${DESTDIR:-}$modules/ngx_apikey_module.so"
    install -D -m 755 "$build/apikeyctl" "$bin/apikeyctl"

    # Debian: what is available, and links to what is enabled.

    dir=/usr/share/nginx/modules-available

    if [ ! -d /etc/nginx/modules-enabled ]; then
        say "in nginx.conf: load_module $modules/ngx_apikey_module.so;"
        return
    fi

    mkdir -p "${DESTDIR:-}$dir"
    echo "load_module modules/ngx_apikey_module.so;" \
        > "${DESTDIR:-}$dir/mod-http-apikey.conf"
    chmod 644 "${DESTDIR:-}$dir/mod-http-apikey.conf"

    say "to enable: ln -s $dir/mod-http-apikey.conf" \
        "/etc/nginx/modules-enabled/50-mod-http-apikey.conf"
}


cmd_clean() {
    rm -rf "$build"
}


main() {
    local command=${1:-build}
    [ $# -eq 0 ] || shift

    case $command in
        build | test | asan | valgrind | demo | bench | lint | sdk | install \
            | deps | clean)
            "cmd_$command" "$@"
            ;;

        help | -h | --help)
            usage
            ;;

        *)
            usage >&2
            exit 2
            ;;
    esac
}


main "$@"
