/* What each part of the kernel offers to Python. */

#ifndef CCCNODE_MODULE_H
#define CCCNODE_MODULE_H

#include <Python.h>

extern PyMethodDef ed25519_functions[]; /* ed25519.c */
int ed25519_setup(void);

extern PyMethodDef trees_functions[]; /* trees.c */
int trees_setup(PyObject *module);

int cells_setup(PyObject *module); /* cells.c */
int opening_setup(void);           /* opening.c */

int ids_setup(PyObject *module); /* ids.c */

#endif
