/* The quick half of rings.py and cocorows.py: the same functions, the same answers (tests hold them against each other).
 *
 * Text is taken as it comes: every byte is looked at before it is used, and reading stops at the NUL that CPython
 * puts behind every bytes object. What is not plainly rings of numbers gives None, and rings.py decides.
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

PyDoc_STRVAR(measure_doc, "measure(rings, box) -> (parts, gap) | None; see rings.py");

static PyObject *measure(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 2 || !PyBytes_Check(arguments[0]) || !PyBytes_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "measure() takes two bytes objects");
        return NULL;
    }
    Extent extent;
    const char *p = look_over(skip(PyBytes_AS_STRING(arguments[0])), &extent);
    if (!p || skip(p) != PyBytes_AS_STRING(arguments[0]) + PyBytes_GET_SIZE(arguments[0])) Py_RETURN_NONE;
    double box[4];
    p = four(PyBytes_AS_STRING(arguments[1]), box);
    if (!p || p != PyBytes_AS_STRING(arguments[1]) + PyBytes_GET_SIZE(arguments[1])) Py_RETURN_NONE;
    return Py_BuildValue("nd", extent.parts, gap(&extent, box));
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

static PyObject *text(Span span) { return PyBytes_FromStringAndSize(span.start, span.end - span.start); }

static PyObject *without_space(Span span) {
    PyObject *copy = text(span);
    if (!copy) return NULL;
    char *out = PyBytes_AS_STRING(copy);
    for (const char *p = span.start; p < span.end; p++)
        if (*p > ' ') *out++ = *p;
    if (out - PyBytes_AS_STRING(copy) < span.end - span.start) _PyBytes_Resize(&copy, out - PyBytes_AS_STRING(copy));
    return copy;
}

static long long value_of(Span number) { return strtoll(number.start, NULL, 10); }

PyDoc_STRVAR(coco_row_doc, "coco_row(row) -> tuple | None; see cocorows.py");

static PyObject *told(const Row *row) {
    return Py_BuildValue("NNNNNLnd", text(row->rings), text(row->area), PyBool_FromLong(row->crowd),
                         without_space(row->box), text(row->category), value_of(row->id), row->extent.parts,
                         gap(&row->extent, row->edges));
}

static PyObject *coco_row(PyObject *module, PyObject *data) {
    char *begin;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(data, &begin, &length) < 0) return NULL;
    Row row;
    const char *end = plain_row(skip(begin), &row, 1);
    if (!end || skip(end) != begin + length) Py_RETURN_NONE;
    return told(&row);
}

#ifndef _WIN32
PyDoc_STRVAR(coco_rows_at_doc, "coco_rows_at(descriptor, rows) -> list[tuple | bytes] | None; see cocorows.py");

typedef struct {
    long long offset, length;
} Place;

/* Reads the bytes at each place into the buffer, a NUL behind each; whether all were there. */
static int read_all(int descriptor, const Place *places, Py_ssize_t count, char *buffer) {
    for (Py_ssize_t i = 0; i < count; i++) {
        for (long long done = 0; done < places[i].length;) {
            ssize_t some = pread(descriptor, buffer + done, places[i].length - done, places[i].offset + done);
            if (some < 0 && errno == EINTR) continue;
            if (some <= 0) return 0;
            done += some;
        }
        buffer += places[i].length;
        *buffer++ = 0;
    }
    return 1;
}

static PyObject *coco_rows_at(PyObject *module, PyObject *arguments) {
    int descriptor;
    PyObject *rows, *found = NULL;
    if (!PyArg_ParseTuple(arguments, "iO!:coco_rows_at", &descriptor, &PyList_Type, &rows)) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(rows);
    long long size = count;
    Place *places = PyMem_Malloc(count * sizeof(Place) + 1);
    char *buffer = NULL;
    if (!places) return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *place = PyList_GET_ITEM(rows, i); /* (position, offset, length) */
        if (!PyTuple_Check(place) || PyTuple_GET_SIZE(place) != 3) {
            PyErr_SetString(PyExc_TypeError, "coco_rows_at() takes rows of three numbers");
            goto end;
        }
        places[i].offset = PyLong_AsLongLong(PyTuple_GET_ITEM(place, 1));
        places[i].length = PyLong_AsLongLong(PyTuple_GET_ITEM(place, 2));
        if (PyErr_Occurred()) goto end;
        if (places[i].length < 0 || places[i].length > PY_SSIZE_T_MAX - size) {
            PyErr_SetString(PyExc_ValueError, "a row of no or too great length");
            goto end;
        }
        size += places[i].length;
    }
    if (!(buffer = PyMem_Malloc(size + 1))) {
        PyErr_NoMemory();
        goto end;
    }
    int whole_file;
    Py_BEGIN_ALLOW_THREADS
    whole_file = read_all(descriptor, places, count, buffer);
    Py_END_ALLOW_THREADS
    if (!whole_file) {
        found = Py_NewRef(Py_None);
        goto end;
    }
    if (!(found = PyList_New(count))) goto end;
    const char *begin = buffer;
    for (Py_ssize_t i = 0; i < count; i++) {
        Row row;
        const char *end_of_row = begin + places[i].length, *end = plain_row(begin, &row, 1);
        PyObject *one = end == end_of_row ? told(&row) : PyBytes_FromStringAndSize(begin, places[i].length);
        if (!one) {
            Py_CLEAR(found);
            break;
        }
        PyList_SET_ITEM(found, i, one);
        begin = end_of_row + 1;
    }
end:
    PyMem_Free(places);
    PyMem_Free(buffer);
    return found;
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

PyDoc_STRVAR(polygon_doc, "polygon(head, rings, *rest) -> bytes; see rings.py");

static PyObject *polygon(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    Py_ssize_t size = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!PyBytes_Check(arguments[i])) count = 0;
        else if (i != 1) size += PyBytes_GET_SIZE(arguments[i]);
    }
    if (count < 2) {
        PyErr_SetString(PyExc_TypeError, "polygon() takes two bytes objects or more");
        return NULL;
    }
    const char *stop, *end = PyBytes_AS_STRING(arguments[1]) + PyBytes_GET_SIZE(arguments[1]);
    const char *ring = next_ring(PyBytes_AS_STRING(arguments[1]), end, &stop);
    if (!ring) {
        PyErr_SetString(PyExc_ValueError, "there is no ring");
        return NULL;
    }
    PyObject *line = PyBytes_FromStringAndSize(NULL, size + room(ring, stop));
    if (!line) return NULL;
    char *out = PyBytes_AS_STRING(line);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (i == 1) {
            out = write_points(ring, stop, out);
        } else {
            memcpy(out, PyBytes_AS_STRING(arguments[i]), PyBytes_GET_SIZE(arguments[i]));
            out += PyBytes_GET_SIZE(arguments[i]);
        }
    }
    _PyBytes_Resize(&line, out - PyBytes_AS_STRING(line));
    return line;
}

static PyMethodDef METHODS[] = {
    {"measure", (PyCFunction)(void (*)(void))measure, METH_FASTCALL, measure_doc},
    {"vertices", vertices, METH_O, vertices_doc},
    {"polygon", (PyCFunction)(void (*)(void))polygon, METH_FASTCALL, polygon_doc},
    {"coco_row", coco_row, METH_O, coco_row_doc},
#ifndef _WIN32
    {"coco_rows_at", coco_rows_at, METH_VARARGS, coco_rows_at_doc},
#endif
    {"coco_rows", coco_rows, METH_VARARGS, coco_rows_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_rings", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit__rings(void) { return PyModuleDef_Init(&MODULE); }
