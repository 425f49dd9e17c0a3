# First process of a node's namespaces: prepares them, then holds them until its standard input ends.
set -eu
folder=$1
cache=$2
ip link set lo up
# containerd, CNI and the kubelet write to fixed places: here they see empty ones, but for what is needed of them below.
exec 3< "$folder" 4< "$cache"
for place in /run /var/lib /var/log; do mount -t tmpfs tmpfs "$place"; done
mkdir -p "$folder" "$cache"
mount --no-canonicalize --bind /proc/self/fd/3 "$folder"
mount --no-canonicalize --bind /proc/self/fd/4 "$cache"
exec 3<&- 4<&-
mkdir -p /run/netns /run/containerd /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods
# The kubelet sets these for the whole machine where they differ: it is shown what it wants, and writes nothing.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=$folder/sysctl/${setting%=*}
  mkdir -p "${file%/*}"
  echo "${setting#*=}" > "$file"
  mount --bind "$file" "/proc/sys/${setting%=*}"
done
touch "$folder/prepared"
# Not the last command, so that the shell stays and reaps what the containers leave.
cat > /dev/null
exit 0
