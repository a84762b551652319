/* The quick half of saving.py: files are written without the interpreter being held up, however many they are. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef _WIN32
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct {
    const char *path, *data;
    Py_ssize_t size;
} File;

/* Writes a file; 0, or the number of what went wrong, and whether that was when it was opened. */
static int write_file(const File *file, int *opening) {
    int descriptor, problem = 0;
    *opening = 0;
    do descriptor = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) {
        *opening = 1;
        return errno;
    }
    for (Py_ssize_t done = 0; done < file->size && !problem;) {
        ssize_t some = write(descriptor, file->data + done, file->size - done);
        if (some >= 0) done += some;
        else if (errno != EINTR) problem = errno;
    }
    if (close(descriptor) < 0 && !problem && errno != EINTR) problem = errno;
    return problem;
}

PyDoc_STRVAR(save_doc, "save(files) -> None; see saving.py");

static PyObject *save(PyObject *module, PyObject *given) {
    PyObject *pairs = PySequence_Tuple(given); /* ours, whatever becomes of what was given */
    if (!pairs) return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(pairs), done = 0;
    int problem = 0, opening = 0;
    File *files = PyMem_Calloc(count + 1, sizeof(File));
    if (!files) PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count && !PyErr_Occurred(); i++) {
        PyObject *pair = PyTuple_GET_ITEM(pairs, i), *data;
        char *path;
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyBytes_Check(data = PyTuple_GET_ITEM(pair, 1)))
            PyErr_SetString(PyExc_TypeError, "save() takes pairs of bytes objects");
        else if (!PyBytes_AsStringAndSize(PyTuple_GET_ITEM(pair, 0), &path, NULL)) /* which has no NUL in it */
            files[i] = (File){path, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)};
    }
    if (!PyErr_Occurred()) {
        Py_BEGIN_ALLOW_THREADS
        while (done < count && !(problem = write_file(&files[done], &opening))) done++;
        Py_END_ALLOW_THREADS
    }
    if (problem) {
        PyObject *name = opening ? PyUnicode_DecodeFSDefault(files[done].path) : Py_NewRef(Py_None);
        errno = problem;
        if (name && opening) PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
        else if (name) PyErr_SetFromErrno(PyExc_OSError);
        Py_XDECREF(name);
    }
    PyMem_Free(files);
    Py_DECREF(pairs);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}
#endif

static PyMethodDef METHODS[] = {
#ifndef _WIN32
    {"save", save, METH_O, save_doc},
#endif
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_saving", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit__saving(void) { return PyModuleDef_Init(&MODULE); }
