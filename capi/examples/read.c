/* Reads a live simulation from C: waits for generations, pins each, and looks at its columns in place.
 *
 *     cargo build --release --package hypostyle-c
 *     cc -std=c11 -Iinclude capi/examples/read.c -Ltarget/release -lhypostyle_c -o read
 *     LD_LIBRARY_PATH=target/release ./read demo position.x 5
 */
#include <stdio.h>
#include <stdlib.h>

#include "hypostyle.h"

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, hypostyle_last_error());
    return EXIT_FAILURE;
}

/* The sum of a column's f32 rows that have the component. */
static double sum(const hypostyle_column *column, const hypostyle_presence *presence) {
    const float *values = column->data;
    double total = 0;
    for (uint64_t row = 0; row < column->rows; row++) {
        if (presence->kind == HYPOSTYLE_PRESENCE_KIND_BITS && !(presence->words[row / 64] >> (row % 64) & 1))
            continue;
        total += values[row];
    }
    return total;
}

/* One line for a pinned generation. */
static int show(const hypostyle_snapshot *snapshot, const char *name, const char *component) {
    double total = 0;
    uint64_t rows = 0;
    for (uint32_t table = 0; table < hypostyle_table_count(snapshot); table++) {
        hypostyle_column column;
        hypostyle_presence presence;
        hypostyle_status status = hypostyle_get_column(snapshot, table, name, &column);
        if (status == HYPOSTYLE_STATUS_ABSENT)
            continue;
        if (status != HYPOSTYLE_STATUS_OK || hypostyle_get_presence(snapshot, table, component, &presence) != HYPOSTYLE_STATUS_OK)
            return failed(name);
        if (column.type != HYPOSTYLE_TYPE_F32 || column.array_len != 0) {
            fprintf(stderr, "%s does not hold single f32 values\n", name);
            return EXIT_FAILURE;
        }
        total += sum(&column, &presence);
        rows += column.rows;
    }
    printf("generation %llu frame %llu entities %llu rows %llu sum %.1f\n",
           (unsigned long long)hypostyle_generation(snapshot), (unsigned long long)hypostyle_frame(snapshot),
           (unsigned long long)hypostyle_entity_count(snapshot), (unsigned long long)rows, total);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s REGION COLUMN GENERATIONS\n", argv[0]);
        return 2;
    }
    char component[65] = {0};
    for (int i = 0; i < 64 && argv[2][i] != 0 && argv[2][i] != '.'; i++)
        component[i] = argv[2][i];

    hypostyle_reader *region = NULL;
    if (hypostyle_open(argv[1], &region) != HYPOSTYLE_STATUS_OK)
        return failed(argv[1]);

    int code = EXIT_SUCCESS;
    uint64_t seen = 0;
    for (int left = atoi(argv[3]); left > 0 && code == EXIT_SUCCESS; left--) {
        hypostyle_status status = hypostyle_wait(region, seen, 10.0, &seen);
        if (status == HYPOSTYLE_STATUS_WRITER_GONE || status == HYPOSTYLE_STATUS_TIMEOUT) {
            printf("nothing newer than generation %llu\n", (unsigned long long)seen);
            break;
        }
        hypostyle_snapshot *snapshot = NULL;
        if (status != HYPOSTYLE_STATUS_OK || hypostyle_pin(region, &snapshot) != HYPOSTYLE_STATUS_OK) {
            code = failed("pin");
            break;
        }
        seen = hypostyle_generation(snapshot);
        code = show(snapshot, argv[2], component);
        hypostyle_release(snapshot);
    }
    hypostyle_close(region);
    return code;
}
