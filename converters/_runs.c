/* The quick half of masks.py: the same answers (tests hold the two against each other).
 *
 * Runs come as any contiguous buffer of int64 and go as bytearrays of them. What is not plainly right gives None, and
 * masks.py finds out what it is, and says so.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define MAX_RUN 4294967295LL /* pycocotools keeps runs in 32 bits */
#define MAX_COLUMNS (1 << 20) /* of a rectangle to turn: no picture is so wide, and numpy needs less memory then */
#define MAX_GROUPS 7         /* of five bits: the difference of two runs, its sign, and no more */

/* The runs that an object holds: whether it is a buffer of int64, one after the other. */
static int view_runs(PyObject *given, Py_buffer *view) {
    if (PyObject_GetBuffer(given, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0) {
        PyErr_Clear();
        return 0;
    }
    const char *format = view->format ? view->format : "B";
    if (view->ndim == 1 && view->itemsize == sizeof(int64_t) && (*format == 'l' || *format == 'q') && !format[1])
        return 1;
    PyBuffer_Release(view);
    return 0;
}

PyDoc_STRVAR(from_list_doc, "from_list(counts) -> bytearray | None: runs of a list of nothing but ints");

static PyObject *from_list(PyObject *module, PyObject *list) {
    if (!PyList_CheckExact(list) || !PyList_GET_SIZE(list)) Py_RETURN_NONE;
    Py_ssize_t count = PyList_GET_SIZE(list);
    PyObject *made = PyByteArray_FromStringAndSize(NULL, count * sizeof(int64_t));
    if (!made) return NULL;
    int64_t *runs = (int64_t *)PyByteArray_AS_STRING(made);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        int overflow = 0;
        long long run = PyLong_CheckExact(item) ? PyLong_AsLongLongAndOverflow(item, &overflow) : -1;
        if (overflow || run < 0 || run > MAX_RUN) {
            Py_DECREF(made);
            Py_RETURN_NONE;
        }
        runs[i] = run;
    }
    return made;
}

/* The number whose groups begin at text, and where they end; NULL if it is not plainly one. Behind the end is a NUL. */
static const unsigned char *number(const unsigned char *text, const unsigned char *end, int64_t *value) {
    unsigned digit = text[0] - 48u, next = text[1] - 48u, two = digit >> 5;
    if (two < 2 && !(two && (next & ~31u))) { /* mostly: one group or two, which no processor can foretell */
        int64_t sign = (int64_t)16 << 5 * two, both = (digit & 31) | (two ? (next & 31) << 5 : 0);
        *value = (both ^ sign) - sign;
        return text + 1 + two;
    }
    int64_t found = 0;
    int shift = 0;
    do {
        digit = text < end ? *text++ - 48u : 64;
        if (digit > 63 || shift == 5 * MAX_GROUPS) return NULL;
        found |= (int64_t)(digit & 31) << shift;
        shift += 5;
    } while (digit & 32);
    *value = digit & 16 ? found - ((int64_t)1 << shift) : found;
    return text;
}

PyDoc_STRVAR(from_text_doc, "from_text(counts) -> bytearray | None: runs of a compressed string");

static PyObject *from_text(PyObject *module, PyObject *given) {
    const unsigned char *text;
    Py_ssize_t length;
    if (PyUnicode_Check(given) && PyUnicode_IS_ASCII(given)) {
        text = PyUnicode_1BYTE_DATA(given);
        length = PyUnicode_GET_LENGTH(given);
    } else if (PyBytes_Check(given)) {
        text = (const unsigned char *)PyBytes_AS_STRING(given);
        length = PyBytes_GET_SIZE(given);
    } else
        Py_RETURN_NONE;
    PyObject *made = length ? PyByteArray_FromStringAndSize(NULL, length * sizeof(int64_t)) : Py_NewRef(Py_None);
    if (!made || !length) return made;
    int64_t *runs = (int64_t *)PyByteArray_AS_STRING(made);
    Py_ssize_t count = 0;
    for (const unsigned char *end = text + length; text < end; count++) {
        int64_t run;
        text = number(text, end, &run);
        if (text && count > 2) run += runs[count - 2];
        if (!text || run < 0 || run > MAX_RUN) {
            Py_DECREF(made);
            Py_RETURN_NONE;
        }
        runs[count] = run;
    }
    if (PyByteArray_Resize(made, count * sizeof(int64_t)) < 0) Py_CLEAR(made);
    return made;
}

PyDoc_STRVAR(to_text_doc, "to_text(runs) -> str | None: the compressed string of runs from 0 to 2^32 - 1");

static PyObject *to_text(PyObject *module, PyObject *given) {
    Py_buffer view;
    if (!view_runs(given, &view)) Py_RETURN_NONE;
    const int64_t *runs = view.buf;
    Py_ssize_t count = view.shape[0];
    char *buffer = count > PY_SSIZE_T_MAX / MAX_GROUPS ? NULL : PyMem_Malloc(count * MAX_GROUPS + 1), *out = buffer;
    PyObject *made = NULL;
    if (!buffer) {
        PyErr_NoMemory();
        goto end;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (runs[i] < 0 || runs[i] > MAX_RUN) {
            made = Py_NewRef(Py_None);
            goto end;
        }
        int64_t left = i > 2 ? runs[i] - runs[i - 2] : runs[i];
        if (left >= -512 && left < 512) { /* mostly: one group or two, which no processor can foretell */
            int two = left < -16 || left > 15;
            out[0] = (char)((left & 31) + 48 + 32 * two);
            out[1] = (char)((left + 1024) / 32 % 32 + 48); /* as of left >> 5, which C leaves open below 0 */
            out += 1 + two;
            continue;
        }
        int more;
        do {
            int digit = left & 31;
            left = left < 0 ? ~(~left >> 5) : left >> 5;
            more = digit & 16 ? left != -1 : left != 0;
            *out++ = (char)((more ? digit | 32 : digit) + 48);
        } while (more);
    }
    made = PyUnicode_New(out - buffer, 127);
    if (made) memcpy(PyUnicode_1BYTE_DATA(made), buffer, out - buffer);
end:
    PyMem_Free(buffer);
    PyBuffer_Release(&view);
    return made;
}

/* A place among the pixels, which are taken column by column. */
typedef struct {
    int64_t column, row;
} Place;

static Place moved(Place place, int64_t run, int64_t height) {
    place.row += run;
    if (place.row >= height) {
        if (place.row < 2 * height) { /* mostly: a division takes longer than all the rest */
            place.row -= height;
            place.column++;
        } else {
            place.column += place.row / height;
            place.row %= height;
        }
    }
    return place;
}

PyDoc_STRVAR(total_doc, "total(runs) -> int | None: how many pixels runs from 0 to 2^32 - 1 cover");

static PyObject *total(PyObject *module, PyObject *given) {
    Py_buffer view;
    if (!view_runs(given, &view)) Py_RETURN_NONE;
    const int64_t *runs = view.buf;
    Py_ssize_t count = view.shape[0], i = 0;
    int64_t sum = 0;
    for (; i < count && runs[i] >= 0 && runs[i] <= MAX_RUN; i++) sum += runs[i];
    PyBuffer_Release(&view);
    if (i < count) Py_RETURN_NONE;
    return PyLong_FromLongLong(sum);
}

PyDoc_STRVAR(is_canonical_doc, "is_canonical(runs) -> bool | None; see masks.py");

static PyObject *is_canonical(PyObject *module, PyObject *given) {
    Py_buffer view;
    if (!view_runs(given, &view)) Py_RETURN_NONE;
    const int64_t *runs = view.buf;
    Py_ssize_t count = view.shape[0], i = 1;
    while (i < count && runs[i] > 0) i++;
    PyBuffer_Release(&view);
    return PyBool_FromLong(count && i >= count);
}

PyDoc_STRVAR(box_doc, "box(runs, height) -> (x, y, width, height) | None; see masks.py");

static PyObject *box(PyObject *module, PyObject *arguments) {
    PyObject *given;
    long long height;
    if (!PyArg_ParseTuple(arguments, "OL:box", &given, &height)) return NULL;
    Py_buffer view;
    if (height < 1 || height > INT32_MAX || !view_runs(given, &view)) Py_RETURN_NONE;
    const int64_t *runs = view.buf;
    Py_ssize_t count = view.shape[0];
    int64_t left = -1, right = 0, top = height, bottom = 0;
    Place place = {0, 0};
    for (Py_ssize_t i = 0; i < count; i++) {
        if (runs[i] < 0 || runs[i] > MAX_RUN) {
            PyBuffer_Release(&view);
            Py_RETURN_NONE;
        }
        if ((i & 1) && runs[i]) {
            Place last = moved(place, runs[i] - 1, height);
            if (left < 0) left = place.column;
            right = last.column + 1;
            if (last.column > place.column) { /* on in the next column: it touches the bottom and the top */
                top = 0;
                bottom = height;
            } else {
                if (place.row < top) top = place.row;
                if (last.row >= bottom) bottom = last.row + 1;
            }
        }
        place = moved(place, runs[i], height);
    }
    PyBuffer_Release(&view);
    if (left < 0) left = top = 0; /* nothing is set */
    return Py_BuildValue("LLLL", (long long)left, (long long)top, (long long)(right - left), (long long)(bottom - top));
}

/* Makes of each row what it is with the one above: out ^= above, for so many bytes. */
static void exclusive_or(unsigned char *out, const unsigned char *above, Py_ssize_t count) {
    Py_ssize_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t a, b;
        memcpy(&a, out + i, 8);
        memcpy(&b, above + i, 8);
        a ^= b;
        memcpy(out + i, &a, 8);
    }
    for (; i < count; i++) out[i] ^= above[i];
}

PyDoc_STRVAR(scanlines_doc, "scanlines(runs, height, width, above, below) -> bytearray | None; see masks.py");

/* First each pixel is whether it differs from the one above it: that is two marks for a run, however long it is. */
static PyObject *scanlines(PyObject *module, PyObject *arguments) {
    PyObject *given, *made = NULL;
    long long height, width, above, below;
    if (!PyArg_ParseTuple(arguments, "OLLLL:scanlines", &given, &height, &width, &above, &below)) return NULL;
    Py_buffer view;
    if (height < 1 || height > INT32_MAX || width < 1 || width >= INT32_MAX || above < 0 || below < 0 ||
        above > height || below > height - above || !view_runs(given, &view))
        Py_RETURN_NONE;
    const int64_t *runs = view.buf;
    Py_ssize_t count = view.shape[0], stride = width + 1, lines = height - above - below;
    made = lines > PY_SSIZE_T_MAX / stride ? PyErr_NoMemory() : PyByteArray_FromStringAndSize(NULL, lines * stride);
    if (!made) goto end;
    unsigned char *out = (unsigned char *)PyByteArray_AS_STRING(made);
    memset(out, 0, lines * stride);
    int64_t room = height * width, first = width, last = 0; /* columns that hold something */
    Place place = {0, 0};
    for (Py_ssize_t i = 0; i < count; i++) {
        int64_t run = runs[i];
        if (run < 0 || run > room) goto wrong;
        room -= run;
        Place next = moved(place, run, height);
        if ((i & 1) && run) {
            int64_t bottom = next.column > place.column ? height : next.row; /* in its first column, one past it */
            last = next.row ? next.column : next.column - 1;
            if ((last > place.column ? 0 : place.row) < above || bottom > above + lines) goto wrong;
            if (place.column < first) first = place.column;
            out[(place.row - above) * stride + 1 + place.column] ^= 1;
            for (int64_t column = place.column + 1; column <= last; column++) out[1 + column] ^= 1;
            if (next.row && next.row < above + lines) out[(next.row - above) * stride + 1 + next.column] ^= 1;
        }
        place = next;
    }
    if (room) goto wrong;
    for (Py_ssize_t line = 1; line < lines && first <= last; line++)
        exclusive_or(out + line * stride + 1 + first, out + (line - 1) * stride + 1 + first, last + 1 - first);
    goto end;
wrong:
    Py_DECREF(made);
    made = Py_NewRef(Py_None);
end:
    PyBuffer_Release(&view);
    return made;
}

/* A list of runs that grows, with the stretches of set pixels put into it in their order. */
typedef struct {
    int64_t *runs;
    Py_ssize_t count, room;
    int64_t end; /* where the last stretch ended */
} Growing;

static int push(Growing *made, int64_t run) {
    if (made->count == made->room) {
        Py_ssize_t room = 2 * made->room + 64;
        int64_t *runs = PyMem_Realloc(made->runs, room * sizeof(int64_t));
        if (!runs) return 0;
        made->runs = runs;
        made->room = room;
    }
    made->runs[made->count++] = run;
    return 1;
}

static int put(Growing *made, int64_t start, int64_t end) {
    int64_t gap = start - made->end;
    made->end = end;
    if (made->count && !gap) {
        made->runs[made->count - 1] += end - start;
        return 1;
    }
    return push(made, gap) && push(made, end - start);
}

/* Where a rectangle's rows begin and end to be set, by column: the part of it that lies in the image. */
typedef struct {
    int64_t width, left, right, top, bottom;
    Py_ssize_t *ends; /* of each column's edges among all, one past the last; until they are put, how many there are */
    int32_t *edges;   /* the rows; NULL while they are counted */
} Turning;

static void mark(Turning *turning, int64_t column, int64_t row) {
    Py_ssize_t *end = &turning->ends[column - turning->left];
    if (turning->edges) turning->edges[*end] = (int32_t)(row - turning->top);
    ++*end;
}

/* Marks the edges of each run; whether the runs are so many pixels. */
static int mark_all(Turning *turning, const int64_t *runs, Py_ssize_t count, int64_t pixels) {
    Place place = {0, 0}; /* with rows and columns changed about: "row" is how far along the row */
    for (Py_ssize_t i = 0; i < count; i++) {
        if (runs[i] < 0 || runs[i] > pixels) return 0;
        pixels -= runs[i];
        Place next = moved(place, runs[i], turning->width);
        if (i & 1) {
            int64_t row = place.column < turning->top ? turning->top : place.column;
            for (; row <= next.column && row < turning->bottom; row++) {
                int64_t from = row == place.column ? place.row : 0;
                int64_t to = row == next.column ? next.row : turning->width;
                if (from < turning->left) from = turning->left;
                if (to > turning->right) to = turning->right;
                if (from >= to) continue;
                mark(turning, from, row);
                if (to < turning->right) mark(turning, to, row);
            }
        }
        place = next;
    }
    return !pixels;
}

PyDoc_STRVAR(from_row_major_doc,
             "from_row_major(runs, left, top, width, height, image_height, image_width) -> bytearray | None; see masks.py");

static PyObject *from_row_major(PyObject *module, PyObject *arguments) {
    PyObject *given, *result = NULL;
    long long left, top, width, height, image_height, image_width;
    if (!PyArg_ParseTuple(arguments, "OLLLLLL:from_row_major", &given, &left, &top, &width, &height, &image_height,
                          &image_width))
        return NULL;
    const long long most = INT32_MAX; /* of any of them, either way */
    Py_buffer view;
    if (left > most || left < -most || top > most || top < -most || width < 1 || width > most || height < 1 ||
        height > most || image_height < 1 || image_height > most || image_width < 1 || image_width > most ||
        !view_runs(given, &view))
        Py_RETURN_NONE;
    Turning turning = {.width = width,
                       .left = left < 0 ? -left : 0,
                       .right = image_width - left < width ? image_width - left : width,
                       .top = top < 0 ? -top : 0,
                       .bottom = image_height - top < height ? image_height - top : height};
    Py_ssize_t columns = turning.right > turning.left ? turning.right - turning.left : 0;
    Py_ssize_t rows = turning.bottom > turning.top ? turning.bottom - turning.top : 0, all = 0;
    if (columns > MAX_COLUMNS) {
        PyBuffer_Release(&view);
        Py_RETURN_NONE;
    }
    unsigned char *pixels = PyMem_Calloc(rows + 1, 1); /* of one column */
    turning.ends = PyMem_Calloc(columns + 1, sizeof(Py_ssize_t));
    Growing made = {NULL, 0, 0, 0};
    if (!pixels || !turning.ends) goto no_memory;
    if (!mark_all(&turning, view.buf, view.shape[0], width * height)) {
        result = Py_NewRef(Py_None);
        goto end;
    }
    for (Py_ssize_t column = 0; column < columns; column++) {
        Py_ssize_t mine = turning.ends[column];
        turning.ends[column] = all; /* for now where they begin */
        all += mine;
    }
    if (!(turning.edges = PyMem_Malloc(all * sizeof(int32_t) + 1))) goto no_memory;
    mark_all(&turning, view.buf, view.shape[0], width * height);
    const int32_t *edge = turning.edges;
    for (Py_ssize_t column = 0; column < columns; column++) {
        for (const int32_t *stop = turning.edges + turning.ends[column]; edge < stop; edge++) pixels[*edge] ^= 1;
        int64_t offset = (left + turning.left + column) * image_height + top + turning.top;
        const unsigned char *p = pixels, *bottom = pixels + rows, *next;
        while (p < bottom && (p = memchr(p, 1, bottom - p))) {
            if (!(next = memchr(p, 0, bottom - p))) next = bottom;
            if (!put(&made, offset + (p - pixels), offset + (next - pixels))) goto no_memory;
            p = next;
        }
    }
    int64_t rest = image_height * image_width - made.end;
    if ((rest || !made.count) && !push(&made, rest)) goto no_memory;
    result = PyByteArray_FromStringAndSize((char *)made.runs, made.count * sizeof(int64_t));
    goto end;
no_memory:
    PyErr_NoMemory();
end:
    PyMem_Free(pixels);
    PyMem_Free(turning.ends);
    PyMem_Free(turning.edges);
    PyMem_Free(made.runs);
    PyBuffer_Release(&view);
    return result;
}

static PyMethodDef METHODS[] = {
    {"from_list", from_list, METH_O, from_list_doc},
    {"from_text", from_text, METH_O, from_text_doc},
    {"to_text", to_text, METH_O, to_text_doc},
    {"total", total, METH_O, total_doc},
    {"is_canonical", is_canonical, METH_O, is_canonical_doc},
    {"box", box, METH_VARARGS, box_doc},
    {"scanlines", scanlines, METH_VARARGS, scanlines_doc},
    {"from_row_major", from_row_major, METH_VARARGS, from_row_major_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_runs", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit__runs(void) { return PyModuleDef_Init(&MODULE); }
