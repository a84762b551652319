/* The quick half of lines.py: the same function, the same answer (tests hold them against each other). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

enum { BOX, RING, WHOLE, CATEGORY };

#define POINT_EXTRA 12 /* a point is written with twelve bytes around its two numbers, its comma among them */
#define BOX_EXTRA 24
#define LINE_EXTRA 96 /* names of keys, marks and the ordinal */

typedef struct {
    char *begin, *end, *limit;
} Text;

/* Whether there is room for so many bytes more; without, an exception is set. */
static int reserve(Text *text, Py_ssize_t more) {
    if (text->limit - text->end >= more) return 1;
    Py_ssize_t used = text->end - text->begin, size = 2 * (used + more);
    char *begin = PyMem_Realloc(text->begin, size);
    if (!begin) {
        PyErr_NoMemory();
        return 0;
    }
    *text = (Text){begin, begin + used, begin + size};
    return 1;
}

static inline void add(Text *text, const char *bytes, Py_ssize_t size) {
    memcpy(text->end, bytes, size);
    text->end += size;
}

static inline void add_object(Text *text, PyObject *bytes) {
    add(text, PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
}

#define ADD(text, literal) add(text, literal, sizeof literal - 1)

/* Four numbers; whether there are four. */
static int add_box(Text *text, const char *p, const char *end) {
    static const char *const NAMES[] = {",\"y\":", ",\"width\":", ",\"height\":"};
    for (int i = 0; i < 3; i++) {
        const char *comma = memchr(p, ',', end - p);
        if (!comma) return 0;
        add(text, p, comma - p);
        add(text, NAMES[i], strlen(NAMES[i]));
        p = comma + 1;
    }
    if (memchr(p, ',', end - p)) return 0;
    add(text, p, end - p);
    ADD(text, "}");
    return 1;
}

/* Numbers in pairs; whether they are. */
static int add_ring(Text *text, const char *p, const char *end) {
    int second = 0;
    while (p < end && *p == '[') p++;
    while (p < end && end[-1] == ']') end--;
    Py_ssize_t commas = 0;
    for (const char *q = p; q < end; q++) commas += *q == ',';
    if (!(commas & 1)) return 0;
    if (!reserve(text, (end - p) + (commas / 2 + 2) * POINT_EXTRA)) return -1;
    char *out = text->end;
    memcpy(out, "{\"x\":", 5);
    out += 5;
    for (; p < end; p++) {
        if (*p != ',') {
            *out++ = *p;
        } else {
            if (second) {
                memcpy(out, "},{\"x\":", 7);
                out += 7;
            } else {
                memcpy(out, ",\"y\":", 5);
                out += 5;
            }
            second = !second;
        }
    }
    text->end = out;
    ADD(text, "}]}");
    return 1;
}

static void add_ordinal(Text *text, Py_ssize_t ordinal) {
    char digits[24], *start = digits + sizeof digits, *end = start;
    for (; ordinal || end - start < 4; ordinal /= 10) *--start = '0' + ordinal % 10;
    add(text, start, end - start);
}

/* One line; 0 with an exception. */
static int add_line(Text *text, PyObject *frame, PyObject *numbers, PyObject *end, PyObject *reference, Py_ssize_t ordinal) {
    if (!PyTuple_Check(frame) || PyTuple_GET_SIZE(frame) != 4 || !PyBytes_Check(numbers)) goto wrong;
    PyObject *head = PyTuple_GET_ITEM(frame, 1), *label = PyTuple_GET_ITEM(frame, 2);
    if (!end || end == Py_None) end = PyTuple_GET_ITEM(frame, 3);
    long mode = PyLong_AsLong(PyTuple_GET_ITEM(frame, 0));
    if (PyErr_Occurred()) return 0;
    if (!PyBytes_Check(head) || !PyBytes_Check(label) || !PyBytes_Check(end)) goto wrong;
    const char *p = PyBytes_AS_STRING(numbers), *stop = p + PyBytes_GET_SIZE(numbers);
    if (!reserve(text, PyBytes_GET_SIZE(head) + (stop - p) + BOX_EXTRA)) return 0;
    add_object(text, head);
    int added = 1;
    if (mode == BOX)
        added = add_box(text, p, stop);
    else if (mode == RING)
        added = add_ring(text, p, stop);
    else if (mode == WHOLE)
        add(text, p, stop - p);
    if (added < 0) return 0;
    if (!added) goto wrong;
    if (!reserve(text, PyBytes_GET_SIZE(reference) + PyBytes_GET_SIZE(label) + PyBytes_GET_SIZE(end) + LINE_EXTRA)) return 0;
    ADD(text, ",\"reference_id\":");
    add_object(text, reference);
    if (mode == CATEGORY) {
        add_object(text, end);
        return 1;
    }
    ADD(text, ",\"annotation_id\":");
    add_object(text, label);
    ADD(text, "-");
    add_ordinal(text, ordinal);
    ADD(text, "\",\"metadata\":");
    add_object(text, end);
    ADD(text, "}");
    return 1;
wrong:
    PyErr_SetString(PyExc_ValueError, "no frame, or not the numbers of one");
    return 0;
}

PyDoc_STRVAR(lines_doc, "lines(frames, numbers, ends, reference, first) -> bytes; see lines.py");

static PyObject *lines(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 5 || !PyList_Check(arguments[0]) || !PyList_Check(arguments[1]) ||
        !(arguments[2] == Py_None || PyList_Check(arguments[2])) || !PyBytes_Check(arguments[3])) {
        PyErr_SetString(PyExc_TypeError, "lines() takes two lists, a list or None, bytes, and a number");
        return NULL;
    }
    PyObject *frames = arguments[0], *numbers = arguments[1], *ends = arguments[2];
    Py_ssize_t first = PyLong_AsSsize_t(arguments[4]), size = PyList_GET_SIZE(frames);
    if (first < 0 && PyErr_Occurred()) return NULL;
    if (first < 0 || PyList_GET_SIZE(numbers) != size || (ends != Py_None && PyList_GET_SIZE(ends) != size)) {
        PyErr_SetString(PyExc_ValueError, "lines() takes as many of each");
        return NULL;
    }
    Text text = {NULL, NULL, NULL};
    PyObject *made = NULL;
    if (!reserve(&text, 2000 * (size + 1))) return NULL;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *end = ends == Py_None ? NULL : PyList_GET_ITEM(ends, i);
        if (!reserve(&text, 1)) goto done;
        if (i) ADD(&text, "\n");
        if (!add_line(&text, PyList_GET_ITEM(frames, i), PyList_GET_ITEM(numbers, i), end, arguments[3], first + i)) goto done;
    }
    made = PyBytes_FromStringAndSize(text.begin, text.end - text.begin);
done:
    PyMem_Free(text.begin);
    return made;
}

static PyMethodDef METHODS[] = {
    {"lines", (PyCFunction)(void (*)(void))lines, METH_FASTCALL, lines_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_lines", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit__lines(void) { return PyModuleDef_Init(&MODULE); }
