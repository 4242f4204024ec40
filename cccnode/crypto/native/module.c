/* cccnode.crypto._kernel: the functions of the kernel as Python sees them.  CPython's stable ABI, 3.11 and later.
 *
 * Each part of the kernel lists its own functions; this file only joins them. */

#include <Python.h>

#include "module.h"

static int execute(PyObject *module) {
    if (ed25519_setup() < 0 || trees_setup(module) < 0 || cells_setup(module) < 0 || ids_setup(module) < 0 ||
        opening_setup() < 0) {
        return -1;
    }
    return PyModule_AddFunctions(module, ed25519_functions) < 0 ? -1 : PyModule_AddFunctions(module, trees_functions);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "Signatures, hashes and trees in C; without it Python does the same, slower.",
    .m_size = 0,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) {
    return PyModuleDef_Init(&definition);
}
