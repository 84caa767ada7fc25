#!/usr/bin/env bash
# Installs the servers that run.sh measures, from Debian, and starts none of them: a package that is
# new here has no service running or enabled afterwards. Needs root.
set -euo pipefail

packages=(etcd-server redis-server postgresql-15 nats-server strace)
policy=/usr/sbin/policy-rc.d
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
        missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || { echo "all are installed" && exit 0; }

# Debian's packages start what they install unless this forbids it. One that is there, as in many
# images, is left alone.
if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
"$policy" >/dev/null 2>&1 && { echo "error: $policy allows services to start" >&2 && exit 1; }

installed() { dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' | sed -n 's/^ii *//p' | sort; }

before=$(installed)
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"

# What came, with what it depends on, would start with the machine.
command -v systemctl >/dev/null || exit 0
for package in $(comm -13 <(echo "$before") <(installed)); do
    for file in $(dpkg-query -L "$package" | grep -E '^(/usr)?/lib/systemd/system/[^@/]+\.service$'); do
        systemctl disable "$(basename "$file")" || echo "not disabled: $file" >&2
    done
done
