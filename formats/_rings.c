/* Rings of numbers and COCO's plain rows as text: see rings.py and cocorows.py, which call this where it was built.
 *
 * Text is taken as it comes: every byte is looked at before it is used, and reading stops at the NUL that stands behind
 * it. What is not plainly a row is left to a decoder.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#ifndef _WIN32
#include <errno.h>
#include <unistd.h>
#endif

#define EXACT_DIGITS 15 /* so many decimal digits are exact in a double, and so is 10 to that power */

static const double TENS[EXACT_DIGITS + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

static const char *skip(const char *p) {
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') p++;
    return p;
}

/* The JSON number at p: its value and its end, or NULL. Few digits over a power of ten are exact; the rest CPython
 * reads. */
static const char *number(const char *p, double *value) {
    const char *start = p;
    long long digits = 0;
    int count = 0, decimals = 0, plain = 1;
    if (*p == '-') p++;
    if (*p == '0' && p[1] >= '0' && p[1] <= '9') return NULL;
    if (*p < '0' || *p > '9') return NULL;
    for (; *p >= '0' && *p <= '9'; p++)
        if (++count <= EXACT_DIGITS) digits = digits * 10 + (*p - '0');
    if (*p == '.') {
        const char *dot = ++p;
        for (; *p >= '0' && *p <= '9'; p++)
            if (++count <= EXACT_DIGITS) digits = digits * 10 + (*p - '0');
        if (p == dot) return NULL;
        decimals = p - dot <= EXACT_DIGITS ? (int)(p - dot) : 0; /* more is not plain anyway */
    }
    if (*p == 'e' || *p == 'E') {
        plain = 0;
        p++;
        if (*p == '-' || *p == '+') p++;
        if (*p < '0' || *p > '9') return NULL;
        while (*p >= '0' && *p <= '9') p++;
    }
    if (plain && count <= EXACT_DIGITS) {
        double size = (double)digits / TENS[decimals];
        *value = *start == '-' ? -size : size;
        return p;
    }
    char *end;
    *value = PyOS_string_to_double(start, &end, NULL);
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return NULL;
    }
    return end == p && isfinite(*value) ? p : NULL;
}

/* The rings of a region: how many, and what they reach. */
typedef struct {
    Py_ssize_t parts;
    double left, top, right, bottom;
} Extent;

/* Looks over the JSON array of rings at p; its end, or NULL if it is not plainly one. */
static const char *look_over(const char *p, Extent *extent) {
    *extent = (Extent){0, INFINITY, INFINITY, -INFINITY, -INFINITY};
    if (*p++ != '[') return NULL;
    for (;;) {
        double x, y, first_x = 0, first_y = 0;
        Py_ssize_t points = 0;
        p = skip(p);
        if (*p++ != '[') return NULL;
        for (;;) {
            if (!(p = number(skip(p), &x))) return NULL;
            p = skip(p);
            if (*p++ != ',') return NULL;
            if (!(p = number(skip(p), &y))) return NULL;
            p = skip(p);
            if (!points++) first_x = x, first_y = y;
            if (x < extent->left) extent->left = x;
            if (x > extent->right) extent->right = x;
            if (y < extent->top) extent->top = y;
            if (y > extent->bottom) extent->bottom = y;
            if (*p == ']') break;
            if (*p++ != ',') return NULL;
        }
        p = skip(p + 1);
        if (points < 3 || (x == first_x && y == first_y)) return NULL;
        extent->parts++;
        if (*p == ']') return p + 1;
        if (*p++ != ',') return NULL;
    }
}

/* The four numbers of a box at p; their end with any space behind, or NULL. */
static const char *four(const char *p, double box[4]) {
    for (int i = 0; i < 4; i++) {
        if (i && *p++ != ',') return NULL;
        if (!(p = number(skip(p), &box[i]))) return NULL;
        p = skip(p);
    }
    return p;
}

/* Pixels by which the box differs from the extent, at the edge where it differs most. */
static double gap(const Extent *extent, const double box[4]) {
    return fmax(fmax(fabs(extent->left - box[0]), fabs(extent->top - box[1])),
                fmax(fabs(extent->right - (box[0] + box[2])), fabs(extent->bottom - (box[1] + box[3]))));
}

#define ID_DIGITS 18   /* so many fit a long long */
#define SHORTEST_ROW 90 /* {"segmentation":[[0,0,0,0,0,0]],"area":0,... */
#define AREA_DIGITS 30 /* before the point, and after it */

typedef struct {
    const char *start, *end;
} Span;

/* What a plain row of COCO's annotations says. */
typedef struct {
    Span rings, area, box, category, id, image;
    int crowd;
    Extent extent;
    double edges[4];
} Row;

/* The end of a stretch of 1 to `most` digits at p, or NULL. */
static const char *digits(const char *p, int most) {
    const char *start = p;
    while (*p >= '0' && *p <= '9') p++;
    return p > start && p - start <= most ? p : NULL;
}

/* The end of the whole number of at most `most` digits at p, or NULL. */
static const char *whole(const char *p, int most) {
    if (*p == '-') p++;
    return *p == '0' && p[1] >= '0' && p[1] <= '9' ? NULL : digits(p, most);
}

/* The end of the JSON number at p, or NULL; more digits than these are not plain. */
static const char *numeral(const char *p) {
    if (!(p = whole(p, AREA_DIGITS))) return NULL;
    if (*p == '.' && !(p = digits(p + 1, AREA_DIGITS))) return NULL;
    return *p == 'e' || *p == 'E' ? NULL : p;
}

/* The end of the JSON array of numbers at p, or NULL. */
static const char *numerals(const char *p) {
    if (*p++ != '[') return NULL;
    for (;;) {
        if (!(p = numeral(skip(p)))) return NULL;
        p = skip(p);
        if (*p == ']') return p + 1;
        if (*p++ != ',') return NULL;
    }
}

/* The end of the JSON array of arrays of numbers at p, or NULL. */
static const char *arrays(const char *p) {
    if (*p++ != '[') return NULL;
    for (;;) {
        if (!(p = numerals(skip(p)))) return NULL;
        p = skip(p);
        if (*p == ']') return p + 1;
        if (*p++ != ',') return NULL;
    }
}

/* The end of the mask at p, {"counts": ..., "size": [...]}, or NULL. */
static const char *mask(const char *p) {
    int seen = 0;
    do {
        p = skip(p + 1);
        int counts = !strncmp(p, "\"counts\"", 8);
        if (!counts && strncmp(p, "\"size\"", 6)) return NULL;
        if (seen & (counts ? 1 : 2)) return NULL;
        seen |= counts ? 1 : 2;
        p = skip(p + (counts ? 8 : 6));
        if (*p != ':') return NULL;
        p = skip(p + 1);
        if (counts && *p == '"') {
            for (p++; *p != '"'; p++)
                if (*p < ' ' || *p > '~' || *p == '\\') return NULL;
            p++;
        } else if (!(p = numerals(p)))
            return NULL;
        p = skip(p);
    } while (*p == ',');
    return *p == '}' && seen == 3 ? p + 1 : NULL;
}

/* The end of the plain row at p, or NULL. Unless `proper`, also of one whose region is a mask or any arrays of numbers. */
static const char *plain_row(const char *p, Row *row, int proper) {
    enum { SEGMENTATION = 1, AREA = 2, ISCROWD = 4, IMAGE_ID = 8, BBOX = 16, CATEGORY_ID = 32, ID = 64, ALL = 127 };
    static const struct {
        const char *name;
        int length, key;
    } KEYS[] = {{"segmentation", 12, SEGMENTATION}, {"area", 4, AREA},   {"iscrowd", 7, ISCROWD},
                {"image_id", 8, IMAGE_ID},          {"bbox", 4, BBOX},   {"category_id", 11, CATEGORY_ID},
                {"id", 2, ID},                      {NULL, 0, 0}};
    int seen = 0;
    if (*p != '{') return NULL;
    do {
        p = skip(p + 1);
        if (*p++ != '"') return NULL;
        int key = 0;
        for (int i = 0; KEYS[i].name && !key; i++)
            if (!strncmp(p, KEYS[i].name, KEYS[i].length) && p[KEYS[i].length] == '"') {
                key = KEYS[i].key;
                p = skip(p + KEYS[i].length + 1);
            }
        if (!key || seen & key || *p != ':') return NULL;
        seen |= key;
        Span value = {skip(p + 1), NULL};
        p = value.start;
        switch (key) {
        case SEGMENTATION:
            row->rings.start = p;
            row->rings.end = p = proper ? look_over(p, &row->extent) : *p == '{' ? mask(p) : arrays(p);
            break;
        case AREA:
            value.end = p = numeral(p);
            row->area = value;
            break;
        case ISCROWD:
            row->crowd = *p == '1';
            p = *p == '0' || *p == '1' ? p + 1 : NULL;
            break;
        case BBOX:
            if (*p != '[') return NULL;
            row->box.start = p + 1;
            row->box.end = p = four(p + 1, row->edges);
            p = p && *p == ']' ? p + 1 : NULL;
            break;
        case CATEGORY_ID:
            value.end = p = *p == '-' ? NULL : whole(p, ID_DIGITS);
            row->category = value;
            break;
        default:
            value.end = p = whole(p, ID_DIGITS);
            *(key == ID ? &row->id : &row->image) = value;
        }
        if (!p) return NULL;
        p = skip(p);
    } while (*p == ',');
    return *p == '}' && seen == ALL ? p + 1 : NULL;
}

static long long value_of(Span number) { return strtoll(number.start, NULL, 10); }

#ifndef _WIN32
typedef struct {
    int start, end; /* from the row's first byte */
} Stretch;

/* What a row of PlainRows.told says: see cocorows.py. `start` is its first byte in PlainRows.data. */
typedef struct {
    long long start, id;
    Stretch rings, area, box;
    Py_ssize_t parts;
} Told;

/* Reads the rows at these offsets into the buffer, a NUL behind each; whether all were there. Rows with only a comma
 * between them are read in one go. */
static int read_all(int descriptor, const long long *offsets, const int *lengths, Py_ssize_t count, char *buffer) {
    for (Py_ssize_t i = 0, next; i < count; i = next) {
        long long length = lengths[i];
        for (next = i + 1; next < count && offsets[next] == offsets[i] + length + 1; next++) length += 1 + lengths[next];
        for (long long done = 0; done < length;) {
            ssize_t some = pread(descriptor, buffer + done, length - done, offsets[i] + done);
            if (some < 0 && errno == EINTR) continue;
            if (some <= 0) return 0;
            done += some;
        }
        for (; i < next; i++) {
            buffer += lengths[i];
            *buffer++ = 0;
        }
    }
    return 1;
}

static Stretch within(Span span, const char *begin) {
    return (Stretch){(int)(span.start - begin), (int)(span.end - begin)};
}

/* Looks at a row of this length; whether it is plain, and if so, what it says. */
static int tell(const char *begin, int length, Told *told, long long *category, double *difference) {
    Row row;
    const char *end = plain_row(begin, &row, 1);
    *told = (Told){0};
    *category = 0;
    *difference = 0;
    if (end != begin + length || row.crowd) return 0;
    told->id = value_of(row.id);
    told->rings = within(row.rings, begin);
    told->area = within(row.area, begin);
    told->box = within(row.box, begin);
    told->parts = row.extent.parts;
    *category = value_of(row.category);
    *difference = gap(&row.extent, row.edges);
    return 1;
}

PyDoc_STRVAR(coco_read_doc, "coco_read(descriptor, offsets, lengths) -> (data, told, ...) | None; see cocorows.py");

static PyObject *coco_read(PyObject *module, PyObject *arguments) {
    enum { DATA, TOLD, PLAIN, STARTS, IDS, CATEGORIES, GAPS, MADE };
    int descriptor, complete;
    Py_buffer offsets, lengths;
    if (!PyArg_ParseTuple(arguments, "iy*y*:coco_read", &descriptor, &offsets, &lengths)) return NULL;
    PyObject *made[MADE] = {NULL}, *result = NULL;
    Py_ssize_t count = lengths.len / (Py_ssize_t)sizeof(int);
    const long long *offset = offsets.buf;
    const int *length = lengths.buf;
    long long size = 0;
    int fits = lengths.len == count * (Py_ssize_t)sizeof(int) && offsets.len == count * (Py_ssize_t)sizeof(long long);
    for (Py_ssize_t i = 0; fits && i < count; i++) {
        fits = length[i] >= 0 && offset[i] >= 0;
        size += length[i] + 1LL;
    }
    if (!fits || size > PY_SSIZE_T_MAX / 2) {
        PyErr_SetString(PyExc_ValueError, "offsets are 64-bit numbers, lengths as many of 32 bits, from 0");
        goto end;
    }
    const Py_ssize_t sizes[MADE] = {size,
                                    count * (Py_ssize_t)sizeof(Told),
                                    count,
                                    (count + 1) * (Py_ssize_t)sizeof(long long),
                                    count * (Py_ssize_t)sizeof(long long),
                                    count * (Py_ssize_t)sizeof(long long),
                                    count * (Py_ssize_t)sizeof(double)};
    for (int i = 0; i < MADE; i++)
        if (!(made[i] = PyBytes_FromStringAndSize(NULL, sizes[i]))) goto end;
    char *data = PyBytes_AS_STRING(made[DATA]), *plain = PyBytes_AS_STRING(made[PLAIN]);
    Told *told = (Told *)PyBytes_AS_STRING(made[TOLD]);
    long long *starts = (long long *)PyBytes_AS_STRING(made[STARTS]);
    long long *ids = (long long *)PyBytes_AS_STRING(made[IDS]);
    long long *categories = (long long *)PyBytes_AS_STRING(made[CATEGORIES]);
    double *gaps = (double *)PyBytes_AS_STRING(made[GAPS]);
    Py_BEGIN_ALLOW_THREADS
    complete = read_all(descriptor, offset, length, count, data);
    Py_END_ALLOW_THREADS
    starts[0] = 0;
    for (Py_ssize_t i = 0; complete && i < count; i++) {
        starts[i + 1] = starts[i] + length[i] + 1;
        plain[i] = tell(data + starts[i], length[i], &told[i], &categories[i], &gaps[i]);
        told[i].start = starts[i];
        ids[i] = told[i].id;
    }
    if (!complete)
        result = Py_NewRef(Py_None);
    else
        result = PyTuple_Pack(MADE, made[DATA], made[TOLD], made[PLAIN], made[STARTS], made[IDS], made[CATEGORIES],
                              made[GAPS]);
end:
    for (int i = 0; i < MADE; i++) Py_XDECREF(made[i]);
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&lengths);
    return result;
}
#endif

PyDoc_STRVAR(coco_rows_doc,
             "coco_rows(data, start, base) -> (end, offsets, lengths, images, ids, categories); see cocorows.py");

static PyObject *coco_rows(PyObject *module, PyObject *arguments) {
    enum { OFFSET, LENGTH, IMAGE, IDENTITY, COLUMNS };
    static const size_t SIZES[COLUMNS] = {sizeof(long long), sizeof(int), sizeof(long long), sizeof(long long)};
    PyObject *data;
    Py_ssize_t start;
    long long base;
    if (!PyArg_ParseTuple(arguments, "SnL:coco_rows", &data, &start, &base)) return NULL;
    const char *begin = PyBytes_AS_STRING(data), *stop = begin + PyBytes_GET_SIZE(data);
    if (start < 0 || start > stop - begin) {
        PyErr_SetString(PyExc_ValueError, "start is not in the data");
        return NULL;
    }
    const char *p = skip(begin + start), *end = begin + start, *next;
    Py_ssize_t most = (stop - p) / SHORTEST_ROW + 1, count = 0;
    PyObject *columns[COLUMNS], *categories = PyDict_New(); /* in the order in which they come */
    void *out[COLUMNS];
    int failed = !categories;
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = PyBytes_FromStringAndSize(NULL, most * SIZES[i]);
        if (columns[i]) out[i] = PyBytes_AS_STRING(columns[i]);
        else failed = 1;
    }
    long long last = -1;
    Row row;
    while (!failed && count < most && (next = plain_row(p, &row, 0))) {
        ((long long *)out[OFFSET])[count] = base + (p - begin);
        ((int *)out[LENGTH])[count] = (int)(next - p);
        ((long long *)out[IMAGE])[count] = value_of(row.image);
        ((long long *)out[IDENTITY])[count] = value_of(row.id);
        long long category = value_of(row.category);
        if (category != last) {
            PyObject *number = PyLong_FromLongLong(last = category);
            failed = !number || PyDict_SetItem(categories, number, Py_None) < 0;
            Py_XDECREF(number);
        }
        count++;
        end = next;
        p = skip(next);
        if (*p != ',') break;
        p = skip(p + 1);
    }
    for (int i = 0; i < COLUMNS; i++)
        if (columns[i]) failed |= _PyBytes_Resize(&columns[i], count * SIZES[i]) < 0;
    if (failed) {
        for (int i = 0; i < COLUMNS; i++) Py_XDECREF(columns[i]);
        Py_XDECREF(categories);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    return Py_BuildValue("nNNNNN", end - begin, columns[OFFSET], columns[LENGTH], columns[IMAGE], columns[IDENTITY],
                         categories);
}

#define POINT_EXTRA 12 /* a point is written with twelve bytes around its two numbers, its comma among them */

/* The most bytes that the points of the ring from p to stop take. */
static Py_ssize_t room(const char *p, const char *stop) {
    Py_ssize_t commas = 0;
    for (const char *q = p; q < stop; q++) commas += *q == ',';
    return (stop - p) + (commas / 2 + 1) * POINT_EXTRA;
}

/* Writes the points of the ring from p to stop; where they end. */
static char *write_points(const char *p, const char *stop, char *out) {
    int second = 0;
    memcpy(out, "{\"x\":", 5);
    out += 5;
    for (; p < stop; p++) {
        if (*p == ',') {
            if (second) {
                memcpy(out, "},{\"x\":", 7);
                out += 7;
            } else {
                memcpy(out, ",\"y\":", 5);
                out += 5;
            }
            second = !second;
        } else if (*p > ' ')
            *out++ = *p;
    }
    *out++ = '}';
    return out;
}

/* The next ring from p on: its first byte and, in stop, the bracket behind it; NULL if there is no more. */
static const char *next_ring(const char *p, const char *end, const char **stop) {
    while (p < end && *p != '-' && (*p < '0' || *p > '9')) p++;
    if (p == end) return NULL;
    *stop = memchr(p, ']', end - p);
    if (!*stop) *stop = end;
    return p;
}

PyDoc_STRVAR(vertices_doc, "vertices(rings) -> list[bytes]; see rings.py");

static PyObject *vertices(PyObject *module, PyObject *rings) {
    char *begin;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(rings, &begin, &length) < 0) return NULL;
    PyObject *made = PyList_New(0);
    if (!made) return NULL;
    const char *end = begin + length, *stop;
    for (const char *p = begin; (p = next_ring(p, end, &stop)); p = stop) {
        PyObject *ring = PyBytes_FromStringAndSize(NULL, room(p, stop));
        if (ring) _PyBytes_Resize(&ring, write_points(p, stop, PyBytes_AS_STRING(ring)) - PyBytes_AS_STRING(ring));
        if (!ring || PyList_Append(made, ring) < 0) {
            Py_XDECREF(ring);
            Py_DECREF(made);
            return NULL;
        }
        Py_DECREF(ring);
    }
    return made;
}

#ifndef _WIN32
#define MOST_DIGITS 20 /* of a number of 64 bits, with its sign */
#define LINE_EXTRA 160 /* more bytes than all of a line that is neither rings, area, box nor a piece given */

static char *put(char *out, const char *text, size_t length) {
    memcpy(out, text, length);
    return out + length;
}

#define PUT(out, literal) put(out, literal, sizeof literal - 1)

static char *put_bytes(char *out, PyObject *bytes) { return put(out, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes)); }

static char *put_number(char *out, long long number) {
    char digits[MOST_DIGITS], *p = digits + MOST_DIGITS;
    unsigned long long rest = number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
    do *--p = '0' + rest % 10;
    while (rest /= 10);
    if (number < 0) *out++ = '-';
    return put(out, p, digits + MOST_DIGITS - p);
}

static char *put_without_space(char *out, const char *p, const char *stop) {
    for (; p < stop; p++)
        if (*p > ' ') *out++ = *p;
    return out;
}

/* What the lines of a label's rows have in common; each a bytes object. See nucleus/outlines.py. */
enum { HEAD, META, ORIGIN, PIECES };

typedef struct {
    PyObject *reference, *reserved, *pieces; /* the last a tuple of PIECES */
    long long place;
} Around;

/* Writes the lines of a row, one a ring, a newline between them. */
static char *put_row(char *out, const char *row, const Told *told, const Around *around) {
    const char *p = row + told->rings.start, *end = row + told->rings.end, *stop;
    for (Py_ssize_t number = 1; number <= told->parts && (p = next_ring(p, end, &stop)); number++, p = stop) {
        if (number > 1) *out++ = '\n';
        out = put_bytes(out, PyTuple_GET_ITEM(around->pieces, HEAD));
        out = write_points(p, stop, out);
        out = PUT(out, "]},\"reference_id\":");
        out = put_bytes(out, around->reference);
        out = PUT(out, ",\"annotation_id\":\"");
        out = put_number(out, told->id);
        if (number > 1) out = put_number(PUT(out, "-part"), number);
        out = put_bytes(out, PyTuple_GET_ITEM(around->pieces, META));
        out = put(out, row + told->area.start, told->area.end - told->area.start);
        out = put_bytes(out, around->reserved);
        if (number == 1) {
            out = PUT(out, "\"box\":[");
            out = put_without_space(out, row + told->box.start, row + told->box.end);
            out = put_number(PUT(out, "],\"id\":"), told->id);
            out = put_bytes(out, PyTuple_GET_ITEM(around->pieces, ORIGIN));
            out = put_number(out, around->place);
            out = PUT(out, "}}");
        } else {
            out = put_number(PUT(out, "\"object\":\""), told->id);
            *out++ = '"';
        }
        if (told->parts > 1) {
            out = put_number(PUT(out, ",\"part\":["), number);
            *out++ = ',';
            out = put_number(out, told->parts);
            *out++ = ']';
        }
        out = PUT(out, "}}}");
    }
    return out;
}

/* The most bytes that the lines of a row take: a point of at least four bytes grows by at most POINT_EXTRA. */
static Py_ssize_t most_of_row(const Told *told, const Around *around) {
    Py_ssize_t each = PyBytes_GET_SIZE(around->reference) + PyBytes_GET_SIZE(around->reserved) +
                      (told->area.end - told->area.start) + LINE_EXTRA;
    for (int i = 0; i < PIECES; i++) each += PyBytes_GET_SIZE(PyTuple_GET_ITEM(around->pieces, i));
    return each * told->parts + (told->box.end - told->box.start) +
           (told->rings.end - told->rings.start) * (1 + POINT_EXTRA / 4);
}

PyDoc_STRVAR(coco_lines_doc, "coco_lines(data, told, start, pieces, places, reference, reserved) -> bytes; see "
                             "nucleus/outlines.py");

static PyObject *coco_lines(PyObject *module, PyObject *arguments) {
    PyObject *data, *table, *pieces, *places;
    Around around;
    Py_ssize_t start;
    if (!PyArg_ParseTuple(arguments, "SSnO!O!SS:coco_lines", &data, &table, &start, &PyList_Type, &pieces, &PyList_Type,
                          &places, &around.reference, &around.reserved))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(pieces), size = 0;
    if (start < 0 || count != PyList_GET_SIZE(places) ||
        start > PyBytes_GET_SIZE(table) / (Py_ssize_t)sizeof(Told) - count) {
        PyErr_SetString(PyExc_ValueError, "there are no such rows");
        return NULL;
    }
    const Told *told = (const Told *)PyBytes_AS_STRING(table) + start;
    for (Py_ssize_t i = 0; i < count; i++) {
        around.pieces = PyList_GET_ITEM(pieces, i);
        int fits = PyTuple_Check(around.pieces) && PyTuple_GET_SIZE(around.pieces) == PIECES && told[i].parts > 0 &&
                   told[i].start < PyBytes_GET_SIZE(data);
        for (int k = 0; fits && k < PIECES; k++) fits = PyBytes_Check(PyTuple_GET_ITEM(around.pieces, k));
        if (!fits) {
            PyErr_SetString(PyExc_ValueError, "each row is plain, and has pieces around it");
            return NULL;
        }
        size += most_of_row(&told[i], &around) + 1;
    }
    PyObject *lines = PyBytes_FromStringAndSize(NULL, size);
    if (!lines) return NULL;
    char *out = PyBytes_AS_STRING(lines);
    for (Py_ssize_t i = 0; i < count; i++) {
        around.pieces = PyList_GET_ITEM(pieces, i);
        around.place = PyLong_AsLongLong(PyList_GET_ITEM(places, i));
        if (around.place == -1 && PyErr_Occurred()) {
            Py_DECREF(lines);
            return NULL;
        }
        if (i) *out++ = '\n';
        out = put_row(out, PyBytes_AS_STRING(data) + told[i].start, &told[i], &around);
    }
    _PyBytes_Resize(&lines, out - PyBytes_AS_STRING(lines));
    return lines;
}
#endif

static PyMethodDef METHODS[] = {
    {"vertices", vertices, METH_O, vertices_doc},
#ifndef _WIN32
    {"coco_read", coco_read, METH_VARARGS, coco_read_doc},
    {"coco_lines", coco_lines, METH_VARARGS, coco_lines_doc},
#endif
    {"coco_rows", coco_rows, METH_VARARGS, coco_rows_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_rings", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit__rings(void) { return PyModuleDef_Init(&MODULE); }
