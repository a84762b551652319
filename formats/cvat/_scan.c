/* The quick half of scan.py: the same two functions, the same answers (tests hold them against each other).
 *
 * Text is taken as it comes: every byte is looked at before it is used, and reading stops at the NUL that CPython
 * puts behind every bytes object. What is not plain is handed back as it is, and a parser of XML decides.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#define WHOLE_DIGITS 6 /* so many before the point, */
#define DECIMALS 6     /* and behind it: any difference of two such numbers is exact */
#define UNIT 1000000LL
#define SMALLEST 1000 /* millionths: nearer to 0, others write numbers with an exponent */
#define MOST_SAID 2048

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static const char *skip(const char *p) {
    while (is_space(*p)) p++;
    return p;
}

/* --- numbers ------------------------------------------------------------------------------------------ */

typedef struct {
    long long millionths;
    int fraction; /* it was written with a point */
} Number;

/* The number at p as repr() would write it, at *out; NULL where it is not plain. */
static const char *number(const char *p, char **out, Number *value) {
    char *o = *out;
    int negative = *p == '-', digits = 0, decimals = 0;
    long long total = 0;
    if (negative) *o++ = *p++;
    if (*p == '0' && p[1] >= '0' && p[1] <= '9') return NULL;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (++digits > WHOLE_DIGITS) return NULL;
        total = total * 10 + (*p - '0');
        *o++ = *p;
    }
    if (!digits) return NULL;
    value->fraction = *p == '.';
    if (*p == '.') {
        *o++ = *p++;
        for (; *p >= '0' && *p <= '9'; p++) {
            if (++decimals > DECIMALS) return NULL;
            total = total * 10 + (*p - '0');
            *o++ = *p;
        }
        if (!decimals) return NULL;
        for (; o[-1] == '0' && o[-2] != '.'; o--) continue;
    } else if (negative && !total)
        return NULL;
    for (; decimals < DECIMALS; decimals++) total *= 10;
    if (total && total < SMALLEST) return NULL;
    value->millionths = negative ? -total : total;
    *out = o;
    return p;
}

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* The same for a number of two decimals, as nearly all are, without its value; NULL for any other. */
static inline const char *hundredths(const char *p, char **out) {
    const char *first = p + (*p == '-'), *point = first;
    while (is_digit(*point)) point++;
    if (point == first || point - first > WHOLE_DIGITS || (*first == '0' && point - first > 1)) return NULL;
    if (*point != '.' || !is_digit(point[1]) || !is_digit(point[2]) || is_digit(point[3])) return NULL;
    char *o = *out;
    for (; p < point + 3; p++) *o++ = *p;
    *out = o - (o[-1] == '0');
    return p;
}

static const char *coordinate(const char *p, char **out) {
    Number value;
    const char *end = hundredths(p, out);
    return end ? end : number(p, out, &value);
}

/* high - low at *out, whole only if both are; 0 where it is not plain. */
static int difference(const Number *high, const Number *low, char **out) {
    long long value = high->millionths - low->millionths;
    if (value < 0 || (value && value < SMALLEST)) return 0;
    *out += sprintf(*out, "%lld", value / UNIT);
    if (high->fraction || low->fraction) {
        *out += sprintf(*out, ".%06lld", value % UNIT);
        for (; (*out)[-1] == '0' && (*out)[-2] != '.'; (*out)--) continue;
    }
    return 1;
}

/* "x,y;x,y" as "[[x,y,x,y]]", or NULL (without an exception where it is not plain). */
static PyObject *ring(const char *p, const char *end, int least) {
    PyObject *made = PyBytes_FromStringAndSize(NULL, end - p + 4);
    if (!made) return NULL;
    char *begin = PyBytes_AS_STRING(made), *out = begin;
    int points = 0;
    *out++ = '[';
    *out++ = '[';
    for (;;) {
        if (!(p = coordinate(p, &out)) || *p++ != ',') goto odd;
        *out++ = ',';
        if (!(p = coordinate(p, &out))) goto odd;
        if (points < 3) points++;
        if (p == end) break;
        if (*p++ != ';') goto odd;
        *out++ = ',';
    }
    if (points < least) goto odd;
    *out++ = ']';
    *out++ = ']';
    _PyBytes_Resize(&made, out - begin);
    return made;
odd:
    Py_DECREF(made);
    return NULL;
}

/* --- elements ----------------------------------------------------------------------------------------- */

/* The '>' of the tag that begins before p, or NULL. */
static const char *tag_end(const char *p) {
    for (;; p++) {
        if (*p == '>') return p;
        if (*p == '"' || *p == '\'') {
            char quote = *p++;
            while (*p && *p != quote && *p != '<') p++;
            if (*p != quote) return NULL;
        } else if (!*p || *p == '<')
            return NULL;
    }
}

/* Behind the element that begins at p, or NULL. */
static const char *element_end(const char *p) {
    int depth = 0;
    for (;;) {
        const char *begin = p;
        if (p[1] == '!' || p[1] == '?') return NULL;
        if (!(p = tag_end(p + 1))) return NULL;
        if (begin[1] == '/')
            depth--;
        else if (p[-1] != '/')
            depth++;
        p++;
        if (depth <= 0) return p;
        while (*p && *p != '<') p++;
        if (!*p) return NULL;
    }
}

static int add_bytes(PyObject *list, const char *begin, const char *end) {
    PyObject *bytes = PyBytes_FromStringAndSize(begin, end - begin);
    int failed = !bytes || PyList_Append(list, bytes) < 0;
    Py_XDECREF(bytes);
    return failed ? -1 : 0;
}

#define MOST_VALUES 16

/* An element that may be plain: its name, the attributes that are numbers, whether it may be turned; where points are
 * its only one, how many it takes. */
typedef struct {
    const char *tag;
    int least;
    int turns;
    int count;
    const char *names[MOST_VALUES];
} Kind;

static const Kind KINDS[] = {
    {"box", 0, 1, 4, {"xtl", "ytl", "xbr", "ybr"}},
    {"polygon", 3, 0, 1, {"points"}},
    {"polyline", 2, 0, 1, {"points"}},
    {"points", 1, 0, 1, {"points"}},
    {"ellipse", 0, 1, 4, {"cx", "cy", "rx", "ry"}},
    {"cuboid", 0, 0, 16,
     {"xtl1", "ytl1", "xbl1", "ybl1", "xtr1", "ytr1", "xbr1", "ybr1",
      "xtl2", "ytl2", "xbl2", "ybl2", "xtr2", "ytr2", "xbr2", "ybr2"}},
    {"tag", 0, 0, 0, {NULL}},
};

static int same(const char *text, size_t size, const char *name) { return !strncmp(text, name, size) && !name[size]; }

/* The numbers of an element as JSON, or NULL (without an exception where they are not plain). */
static PyObject *numbers_of(const Kind *kind, const char *const *values, const char *rotation) {
    for (int i = 0; i < kind->count; i++)
        if (!values[i]) return NULL;
    if (kind->least) return ring(values[0], strchr(values[0], '"'), kind->least);
    int box = kind == KINDS;
    char text[(MOST_VALUES + 1) * 20], *end = text;
    Number edges[4];
    for (int i = 0; i <= kind->count; i++) {
        const char *value = i < kind->count ? values[i] : rotation, *stop;
        char *start = end;
        Number read;
        if (!value) break;
        if (i) *end++ = ',';
        if (!(stop = number(value, &end, &read)) || *stop != '"') return NULL;
        if (i == kind->count && !read.millionths) return NULL; /* turned by nothing */
        if (box && i < 4) edges[i] = read;
        if (box && (i == 2 || i == 3)) {
            end = start;
            *end++ = ',';
            if (!difference(&edges[i], &edges[i - 2], &end)) return NULL;
        }
    }
    return PyBytes_FromStringAndSize(text, end - text);
}

/* What is known of the elements of an image: a list of each. */
typedef struct {
    PyObject *said, *within, *numbers;
    int empty; /* nothing stands within any */
} Elements;

static void forget(Elements *elements) {
    Py_CLEAR(elements->said);
    Py_CLEAR(elements->within);
    Py_CLEAR(elements->numbers);
}

static int begin_elements(Elements *elements) {
    elements->said = PyList_New(0);
    elements->within = PyList_New(0);
    elements->numbers = PyList_New(0);
    elements->empty = 1;
    return elements->said && elements->within && elements->numbers ? 0 : -1;
}

/* Adds the three lists to another, None for one of nothing but None. */
static int add_elements(PyObject *found, Elements *elements) {
    return PyList_Append(found, elements->said) < 0 ||
                   PyList_Append(found, elements->empty ? Py_None : elements->within) < 0 ||
                   PyList_Append(found, elements->numbers) < 0
               ? -1
               : 0;
}

/* A plain element at p: one thing is added to each list, and it is 1 with *next behind the element; 0 where it is not
 * plain; -1 with an exception. */
static int shape(const char *p, const char **next, Elements *elements) {
    const char *tag = ++p;
    while (*p >= 'a' && *p <= 'z') p++;
    size_t length = p - tag;
    const Kind *kind = KINDS, *const kinds_end = KINDS + sizeof KINDS / sizeof *KINDS;
    while (kind < kinds_end && !same(tag, length, kind->tag)) kind++;
    if (kind == kinds_end || !is_space(*p)) return 0;
    char said[MOST_SAID], *out = said;
    const char *const limit = said + MOST_SAID;
    const char *values[MOST_VALUES] = {0}, *rotation = NULL;
    memcpy(out, tag, length);
    out += length;
    for (;;) {
        const char *before = p;
        p = skip(p);
        if (*p == '>' || *p == '/') break;
        if (p == before) return 0;
        const char *name = p;
        while ((unsigned char)*p > ' ' && *p != '=' && *p != '<' && *p != '>' && *p != '"') p++;
        size_t size = p - name;
        if (*p != '=' || p[1] != '"') return 0;
        const char *value = p + 2;
        if (!(p = strchr(value, '"'))) return 0;
        p++;
        const char **place = NULL;
        for (int i = 0; i < kind->count; i++)
            if (same(name, size, kind->names[i])) {
                place = values + i;
                break;
            }
        if (kind->turns && same(name, size, "rotation")) place = &rotation;
        if (place) {
            if (*place) return 0;
            *place = value;
            continue;
        }
        if (p - name + 1 > limit - out) return 0;
        *out++ = ' ';
        memcpy(out, name, p - name);
        out += p - name;
    }
    const char *inner = NULL, *inner_end = NULL;
    if (*p == '/') {
        if (*++p != '>') return 0;
    } else {
        const char *begin = ++p;
        for (;; p++) {
            while (*p && *p != '<') p++;
            if (!*p) return 0;
            if (p[1] == '/' && !strncmp(p + 2, tag, length)) break;
        }
        if (skip(begin) != p) inner = begin, inner_end = p;
        if (inner && inner_end - inner > MOST_SAID) return 0;
        p = skip(p + 2 + length);
        if (*p != '>') return 0;
    }
    *next = p + 1;
    if (rotation) { /* its value is a number, but that it is there is something said */
        static const char turned[] = " rotation=\"\"";
        size_t size = sizeof turned - 1;
        if ((Py_ssize_t)size > limit - out) return 0;
        memmove(said + length + size, said + length, out - said - length);
        memcpy(said + length, turned, size);
        out += size;
    }
    PyObject *numbers = numbers_of(kind, values, rotation);
    if (!numbers) return PyErr_Occurred() ? -1 : 0;
    if (inner) elements->empty = 0;
    int failed = add_bytes(elements->said, said, out) < 0 ||
                 (inner ? add_bytes(elements->within, inner, inner_end) : PyList_Append(elements->within, Py_None)) < 0 ||
                 PyList_Append(elements->numbers, numbers) < 0;
    Py_DECREF(numbers);
    return failed ? -1 : 1;
}

PyDoc_STRVAR(images_doc, "images(data) -> list | None; see scan.py");

static PyObject *images(PyObject *module, PyObject *data) {
    char *p0;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(data, &p0, &length) < 0) return NULL;
    PyObject *found = PyList_New(0);
    Elements elements = {NULL, NULL, NULL, 1};
    if (!found) return NULL;
    const char *p = p0, *end = p0 + length;
    while ((p = skip(p)) != end) {
        if (strncmp(p, "<image", 6) || !(is_space(p[6]) || p[6] == '>' || p[6] == '/')) goto odd;
        const char *head = p + 6;
        if (!(p = tag_end(head))) goto odd;
        int empty = p > head && p[-1] == '/';
        if (add_bytes(found, head, p - empty) < 0) goto failed;
        if (begin_elements(&elements) < 0) goto failed;
        for (p++; !empty;) {
            const char *next;
            p = skip(p);
            if (*p != '<') goto odd;
            if (p[1] == '/') {
                if (strncmp(p + 2, "image", 5)) goto odd;
                p = skip(p + 7);
                if (*p++ != '>') goto odd;
                break;
            }
            int plain = shape(p, &next, &elements);
            if (plain < 0) goto failed;
            if (!plain) {
                if (!(next = element_end(p))) goto odd;
                if (PyList_Append(elements.said, Py_None) < 0 || PyList_Append(elements.within, Py_None) < 0 ||
                    add_bytes(elements.numbers, p, next) < 0)
                    goto failed;
            }
            p = next;
        }
        if (add_elements(found, &elements) < 0) goto failed;
        forget(&elements);
    }
    return found;
odd:
    forget(&elements);
    Py_DECREF(found);
    Py_RETURN_NONE;
failed:
    forget(&elements);
    Py_DECREF(found);
    return NULL;
}

/* --- the index ---------------------------------------------------------------------------------------- */

PyDoc_STRVAR(places_doc, "places(data, stop) -> (offsets, labels) | None; see scan.py");

static PyObject *places(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 2 || !PyBytes_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "places() takes a bytes object and a number");
        return NULL;
    }
    const char *begin = PyBytes_AS_STRING(arguments[0]), *whole = begin + PyBytes_GET_SIZE(arguments[0]);
    Py_ssize_t length = PyLong_AsSsize_t(arguments[1]);
    if (length < 0 || length > whole - begin) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "stop is not within data");
        return NULL;
    }
    const char *stop = begin + length;
    PyObject *offsets = PyList_New(0), *labels = PySet_New(NULL), *answer = NULL;
    if (!offsets || !labels) goto done;
    /* One byte behind every '<' is there to be looked at: the NUL, if need be. */
    for (const char *p = begin; (p = memchr(p, '<', whole - p)); p++) {
        if (p[1] == '!' || p[1] == '?') {
            answer = Py_NewRef(Py_None);
            goto done;
        }
        if (stop - p < 7) continue;
        if (p[1] == 'i' && !memcmp(p, "<image", 6) && (is_space(p[6]) || p[6] == '>' || p[6] == '/')) {
            PyObject *offset = PyLong_FromSsize_t(p - begin);
            int failed = !offset || PyList_Append(offsets, offset) < 0;
            Py_XDECREF(offset);
            if (failed) goto done;
        }
    }
    const char *last = NULL, *last_end = NULL; /* the label before: mostly it is the same again */
    for (const char *p = begin; (p = memchr(p, '=', stop - p)); p++) {
        if (p - begin < 6 || memcmp(p - 5, "label", 5) || !(is_space(p[-6]) || p[-6] == '\v' || p[-6] == '\f')) continue;
        if (stop - p < 3 || (p[1] != '"' && p[1] != '\'')) continue;
        const char *value = p + 2, *end = memchr(value, p[1], stop - value);
        if (!end) continue;
        p = end;
        if (last && end - value == last_end - last && !memcmp(value, last, end - value)) continue;
        PyObject *label = PyBytes_FromStringAndSize(value, end - value);
        int failed = !label || PySet_Add(labels, label) < 0;
        Py_XDECREF(label);
        if (failed) goto done;
        last = value;
        last_end = end;
    }
    answer = PyTuple_Pack(2, offsets, labels);
done:
    Py_XDECREF(offsets);
    Py_XDECREF(labels);
    return answer;
}

static PyMethodDef METHODS[] = {
    {"images", images, METH_O, images_doc},
    {"places", (PyCFunction)(void (*)(void))places, METH_FASTCALL, places_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_scan", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit__scan(void) { return PyModuleDef_Init(&MODULE); }
