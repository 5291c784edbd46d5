
/*
 * Copyright (C) ngx_apikey_module contributors
 */

#ifndef _AK_FLINE_H_INCLUDED_
#define _AK_FLINE_H_INCLUDED_


#include "ak_mark.h"
#include "ak_record.h"
#include "ak_tokens.h"


/*
 * A line of the embedded store, a file of one JSON object a line:
 *
 *   {"key":"<id>","hash":"$sha256$...","owner":"alice","status":"active",...}
 *   {"upstream":"<owner>","provider":"openai","slots":{"default":"ak1...."}}
 *   {"revoked":"jti:<jti>","at":1795235813,"expires":1795322213}
 *
 * with the fields of ak_record.h and ak_mark.h (numbers may be numbers or
 * strings, "meta" fields are "meta.NAME").  Lines that are empty or begin with
 * "#" are nothing.
 */

typedef enum {
    AK_FLINE_NOTHING = 0,
    AK_FLINE_KEY,
    AK_FLINE_UPSTREAM,
    AK_FLINE_MARK
} ak_fline_e;


#define AK_FLINE_FIELDS_MAX  AK_RECORD_FIELDS_MAX
#define AK_FLINE_MAX         (256 * 1024)      /* bytes of a line */


typedef struct {
    ak_fline_e   type;
    ak_str_t     id;           /* of a key; of a mark "jti:X", "sub:X" */
    ak_str_t     owner;        /* of upstream keys */
    ak_str_t     provider;
    ak_field_t   fields[AK_FLINE_FIELDS_MAX];  /* of record, mark; slots */
    size_t       n;
    void        *json;         /* what the strings are in */
} ak_fline_t;


/*
 * Reads a line without its newline.  Strict: a JSON error, a duplicate member,
 * a member of the wrong type, a missing or invalid name is AK_ERROR, and the
 * diagnostic says which, never with a value; type and names are set as far as
 * they could be read.  Whether the fields make a record is ak_record_parse()'s
 * to say, or ak_mark_parse()'s.  To be freed in either case.
 *
 * A line that begins as a mark does, also one that is cut off there, has the
 * type of a mark although nothing more of it can be read: nobody knows who
 * was revoked by it, which is more than to know nothing.
 */

ak_rc_t ak_fline_parse(ak_str_t text, ak_fline_t *line, ak_diag_t *d);
void ak_fline_free(ak_fline_t *line);

/*
 * Writes a line with its newline into memory that the caller frees with
 * free(), members in the order above.  NULL: no memory, or a string that is
 * no UTF-8.
 */

char *ak_fline_format(const ak_fline_t *line, size_t *len);


#endif /* _AK_FLINE_H_INCLUDED_ */
