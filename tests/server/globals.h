// What the drop-in pair finds in the sysadm server: the global DISPATCHER.
#ifndef TEST_GLOBALS_H
#define TEST_GLOBALS_H

#include "dispatcher.h"

extern Dispatcher *DISPATCHER;

#endif
