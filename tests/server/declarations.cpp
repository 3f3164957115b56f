// Compares what the pair repeats of the header with the header.
#include "sysadm_iocage.h"

#include "../../include/sysadm/sysadm-iocage.cpp"

#include <cstddef>
#include <type_traits>

Dispatcher *DISPATCHER = NULL;

static_assert(ABI_VERSION==SYSADM_IOCAGE_ABI_VERSION, "the version of the interface");
static_assert(ACCESS_READ==SYSADM_IOCAGE_ACCESS_READ && ACCESS_FULL==SYSADM_IOCAGE_ACCESS_FULL, "access");
static_assert(LOG_ERROR==SYSADM_IOCAGE_LOG_ERROR && LOG_ERROR<SYSADM_IOCAGE_LOG_INFO, "levels");
static_assert(sizeof(Host)==sizeof(sysadm_iocage_host), "the host's size");
#define SAME_MEMBER(name) \
  static_assert(offsetof(Host, name)==offsetof(sysadm_iocage_host, name) \
                && std::is_same<decltype(Host::name), decltype(sysadm_iocage_host::name)>::value, #name)
SAME_MEMBER(struct_size);
SAME_MEMBER(user_data);
SAME_MEMBER(queue_process);
SAME_MEMBER(is_job_active);
SAME_MEMBER(log);
SAME_MEMBER(job_ended);

static_assert(std::is_same<decltype(Functions::abi_version), decltype(&sysadm_iocage_abi_version)>::value, "abi_version");
static_assert(std::is_same<decltype(Functions::free), decltype(&sysadm_iocage_free)>::value, "free");
// In these the pair has void for the instance, which it never looks into, and its own struct for the host.
static void *open_(const char *a, const Host *b, char **c){
  return sysadm_iocage_open(a, reinterpret_cast<const sysadm_iocage_host*>(b), c);
}
static char *evaluate_(const void *a, const char *b, qint32 c, qint32 *d){
  return sysadm_iocage_evaluate(static_cast<const sysadm_iocage*>(a), b, c, d);
}
static char *progress_(const void *a, const char *b, const char *c){
  return sysadm_iocage_progress(static_cast<const sysadm_iocage*>(a), b, c);
}
void compare();
void compare(){
  Functions functions = { sysadm_iocage_abi_version, open_, evaluate_, progress_, sysadm_iocage_free };
  (void)functions;
}
