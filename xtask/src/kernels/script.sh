# What a machine runs. Each line that begins with `loading:` is for the table.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
echo "release: $(uname -r)"
ip link set lo up
/run/payload/kernel loading:: --nocapture --test-threads 1
