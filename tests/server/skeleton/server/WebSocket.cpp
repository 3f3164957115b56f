#include "WebSocket.h"

QString WebSocket::EvaluateRequest(const RestInputStruct &REQ){
  RestOutputStruct out;
  out.in_struct = REQ;
  QString host, cur_auth_tok = SockAuthToken;
    if(!out.in_struct.auth.isEmpty()){
      SockAuthToken = AUTHSYSTEM->LoginUP(host, out.in_struct.auth.section(":",0,0), out.in_struct.auth.section(":",1,1));
    }
  return AUTHSYSTEM->hashID(cur_auth_tok);
}
