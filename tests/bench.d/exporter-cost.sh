# What the exporter costs: its resident memory beside node_exporter's, and the time that builds
# take while it is asked far more often than it collects anew, by turns with builds alone. To reach: within 3 %.
roots=()
for paths in $BENCH_PATHS; do roots+=("$BENCH_DIR/$paths/root"); done
"$BIN/examples/exporter_cost" "$BIN/snowguard-exporter" "${BENCH_STORE:-20000}" "${BENCH_PAIRS:-21}" "${roots[@]}"
