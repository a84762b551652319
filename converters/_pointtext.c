/* The quick half of pointtext.py: points as JSON text, to the character what the Python there writes.
 *
 * A float32 times a power of ten up to 10^12 is exact in a double (and 10^13 all but), so that rounding it gives the nearest decimal of so
 * many places; whether that is the same float32 again tells if the places are enough. Numbers below a
 * hundred-thousandth are written with exponents, those from ten million on may be: the rows before the first of them are
 * done, and pointtext.py does that one.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>

#define COLUMNS 4
#define LARGEST_ROW 128 /* 22 characters around four numbers of at most 23 */

static const double TENS[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13};
static const int64_t WHOLE_TENS[] = {1,       10,       100,       1000,       10000,       100000,
                                     1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000};

static float at(const unsigned char *p) { /* little-endian */
    uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static char *digits(char *out, int64_t number, int least) {
    char text[20];
    int count = 0;
    for (; number || count < least; number /= 10) text[count++] = (char)('0' + number % 10);
    while (count) *out++ = text[--count];
    return out;
}

/* The number's text behind out, and where it ends; NULL if it is none of those that are written here. */
static char *decimal(char *out, float value) {
    double size = fabs((double)value);
    int power = 6, places;
    int64_t whole = 0;
    if (signbit(value)) *out++ = '-';
    if (size == 0) {
        memcpy(out, "0.0", 3);
        return out + 3;
    }
    if (!(size >= 1e-5 && size < 1e7)) return NULL;
    while (power > -5 && size < (power >= 0 ? TENS[power] : 1 / TENS[-power])) power--;
    for (int count = 6;; count++) { /* significant digits: six do for what is short, nine for all */
        if (count > 9) return NULL;
        places = count - 1 - power;
        if (places < 0) continue; /* a multiple of ten is as well found as one of one */
        double rounded = rint(size * TENS[places]);
        if ((float)(rounded / TENS[places]) != (float)size) continue;
        whole = (int64_t)rounded;
        break;
    }
    while (places && whole % 10 == 0) {
        whole /= 10;
        places--;
    }
    out = digits(out, whole / WHOLE_TENS[places], 1);
    *out++ = '.';
    return digits(out, whole % WHOLE_TENS[places], places ? places : 1);
}

PyDoc_STRVAR(text_doc, "text(points) -> (text, rows done, rows without intensity); see pointtext.py");

static PyObject *text(PyObject *module, PyObject *points) {
    static const char *NAMES[COLUMNS] = {"{\"x\":", ",\"y\":", ",\"z\":", ",\"i\":"};
    Py_buffer buffer;
    if (PyObject_GetBuffer(points, &buffer, PyBUF_C_CONTIGUOUS) < 0) return NULL;
    const unsigned char *p = buffer.buf;
    Py_ssize_t rows = buffer.len / (4 * COLUMNS), row, without = 0;
    PyObject *made = rows > PY_SSIZE_T_MAX / LARGEST_ROW ? PyErr_NoMemory()
                                                         : PyBytes_FromStringAndSize(NULL, rows * LARGEST_ROW);
    if (!made) {
        PyBuffer_Release(&buffer);
        return NULL;
    }
    char *begin = PyBytes_AS_STRING(made), *out = begin;
    for (row = 0; row < rows; row++) {
        char *next = out;
        for (int column = 0; column < COLUMNS && next; column++, p += 4) {
            float value = at(p);
            if (column == COLUMNS - 1 && isnan(value)) {
                without++;
                continue;
            }
            memcpy(next, NAMES[column], 5);
            next = decimal(next + 5, value);
        }
        if (!next) break;
        memcpy(next, "},", 2);
        out = next + 2;
    }
    PyBuffer_Release(&buffer);
    if (_PyBytes_Resize(&made, out - begin) < 0) return NULL;
    return Py_BuildValue("(Nnn)", made, row, without);
}

static PyMethodDef METHODS[] = {
    {"text", text, METH_O, text_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_pointtext", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit__pointtext(void) { return PyModuleDef_Init(&MODULE); }
