#include "WebSocket.h"
#include "library/sysadm-iocage.h"

#include <QFile>

void WebSocket::AvailableSubsystems(bool allaccess, QJsonObject *out){
  if(QFile::exists("/usr/local/bin/iocage")){
    out->insert("sysadm/iocage", "read/write");
  }
}

RestOutputStruct::ExitCode WebSocket::EvaluateBackendRequest(const RestInputStruct &IN, QJsonObject *out){
  QString namesp = IN.namesp, name = IN.name;
  if(namesp.isEmpty()){
    return RestOutputStruct::BADREQUEST;
  }else if(namesp=="sysadm" && name=="iocage"){
    return EvaluateSysadmIocageRequest(IN.args, out);
  }else if(namesp=="sysadm" && name=="iohyve"){
    return RestOutputStruct::BADREQUEST;
  }
  return RestOutputStruct::BADREQUEST;
}
