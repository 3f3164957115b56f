/*
 * libcrypto and libgssapi_krb5, as far as zfs and zpool of Debian's zfs-fuse name them: they are linked to
 * both (the second by libtirpc) and use neither, but half of the time that they take is for loading them and
 * what these load. Where this does not fit, the janitor leaves it out.
 */
#define UNUSED(name) void name(void) { __builtin_trap(); }

UNUSED(SHA256_Init)
UNUSED(SHA256_Update)
UNUSED(SHA256_Final)

UNUSED(GSS_C_NT_HOSTBASED_SERVICE)
UNUSED(GSS_C_NT_USER_NAME)
UNUSED(gss_accept_sec_context)
UNUSED(gss_acquire_cred)
UNUSED(gss_canonicalize_name)
UNUSED(gss_delete_sec_context)
UNUSED(gss_display_name)
UNUSED(gss_display_status)
UNUSED(gss_duplicate_name)
UNUSED(gss_export_name)
UNUSED(gss_get_mic)
UNUSED(gss_import_name)
UNUSED(gss_init_sec_context)
UNUSED(gss_pname_to_uid)
UNUSED(gss_release_buffer)
UNUSED(gss_release_cred)
UNUSED(gss_release_name)
UNUSED(gss_sign)
UNUSED(gss_unwrap)
UNUSED(gss_verify_mic)
UNUSED(gss_wrap)
UNUSED(gss_wrap_size_limit)
