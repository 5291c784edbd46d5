#include "ctl.h"
ctl_status_e ctl_stack_check(ctl_t *ctl) { (void) ctl; return CTL_DONE; }
