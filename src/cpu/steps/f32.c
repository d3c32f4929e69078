/* Steps in single precision. */
#include "cpu/steps/attention.inc.h"
#include "cpu/steps/gates.inc.h"
#include "cpu/steps/gdn.inc.h"
#include "cpu/steps/product.inc.h"
#include "cpu/steps/rowwise.inc.h"

#define TABLE tnn__steps_f32
#include "cpu/steps/table.inc.h"
