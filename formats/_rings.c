/* The quick half of rings.py: the same two functions, the same answers (tests hold them against each other).
 *
 * Text is taken as it comes: every byte is looked at before it is used, and reading stops at the NUL that CPython
 * puts behind every bytes object. What is not plainly rings of numbers gives None, and rings.py decides.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

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

PyDoc_STRVAR(measure_doc, "measure(rings, box) -> (parts, gap) | None; see rings.py");

static PyObject *measure(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 2 || !PyBytes_Check(arguments[0]) || !PyBytes_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "measure() takes two bytes objects");
        return NULL;
    }
    const char *p = skip(PyBytes_AS_STRING(arguments[0]));
    double left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY;
    Py_ssize_t parts = 0;
    if (*p++ != '[') Py_RETURN_NONE;
    for (;;) {
        double x, y, first_x = 0, first_y = 0;
        Py_ssize_t points = 0;
        p = skip(p);
        if (*p++ != '[') Py_RETURN_NONE;
        for (;;) {
            if (!(p = number(skip(p), &x))) Py_RETURN_NONE;
            p = skip(p);
            if (*p++ != ',') Py_RETURN_NONE;
            if (!(p = number(skip(p), &y))) Py_RETURN_NONE;
            p = skip(p);
            if (!points++) first_x = x, first_y = y;
            if (x < left) left = x;
            if (x > right) right = x;
            if (y < top) top = y;
            if (y > bottom) bottom = y;
            if (*p == ']') break;
            if (*p++ != ',') Py_RETURN_NONE;
        }
        p = skip(p + 1);
        if (points < 3 || (x == first_x && y == first_y)) Py_RETURN_NONE;
        parts++;
        if (*p == ']') break;
        if (*p++ != ',') Py_RETURN_NONE;
    }
    if (skip(p + 1) != PyBytes_AS_STRING(arguments[0]) + PyBytes_GET_SIZE(arguments[0])) Py_RETURN_NONE;
    double box[4];
    p = PyBytes_AS_STRING(arguments[1]);
    for (int i = 0; i < 4; i++) {
        if (i && *p++ != ',') Py_RETURN_NONE;
        if (!(p = number(skip(p), &box[i]))) Py_RETURN_NONE;
        p = skip(p);
    }
    if (p != PyBytes_AS_STRING(arguments[1]) + PyBytes_GET_SIZE(arguments[1])) Py_RETURN_NONE;
    double gap = fmax(fmax(fabs(left - box[0]), fabs(top - box[1])),
                      fmax(fabs(right - (box[0] + box[2])), fabs(bottom - (box[1] + box[3]))));
    return Py_BuildValue("nd", parts, gap);
}

PyDoc_STRVAR(vertices_doc, "vertices(text) -> list[bytes]; see rings.py");

#define POINT_EXTRA 12 /* a point is written with twelve bytes around its two numbers, its comma among them */

static PyObject *vertices(PyObject *module, PyObject *text) {
    char *p0;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(text, &p0, &length) < 0) return NULL;
    PyObject *rings = PyList_New(0);
    if (!rings) return NULL;
    const char *p = p0, *end = p0 + length;
    while (p < end) {
        while (p < end && (*p == '[' || *p == ',' || *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
        if (p == end || *p == ']') {
            p++;
            continue;
        }
        const char *stop = memchr(p, ']', end - p);
        if (!stop) stop = end;
        Py_ssize_t commas = 0;
        for (const char *q = p; q < stop; q++) commas += *q == ',';
        PyObject *ring = PyBytes_FromStringAndSize(NULL, (stop - p) + (commas / 2 + 1) * POINT_EXTRA);
        if (!ring) {
            Py_DECREF(rings);
            return NULL;
        }
        char *begin = PyBytes_AS_STRING(ring), *out = begin;
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
        if (_PyBytes_Resize(&ring, out - begin) < 0 || PyList_Append(rings, ring) < 0) {
            Py_XDECREF(ring);
            Py_DECREF(rings);
            return NULL;
        }
        Py_DECREF(ring);
    }
    return rings;
}

static PyMethodDef METHODS[] = {
    {"measure", (PyCFunction)(void (*)(void))measure, METH_FASTCALL, measure_doc},
    {"vertices", vertices, METH_O, vertices_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_rings", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit__rings(void) { return PyModuleDef_Init(&MODULE); }
