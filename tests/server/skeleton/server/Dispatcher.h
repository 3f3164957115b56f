// The test's own dispatcher, under the name that it has in the server.
#include "dispatcher.h"
