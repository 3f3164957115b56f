#include "Dispatcher.h"
#include "library/sysadm-update.h"

QJsonObject Dispatcher::CreateDispatcherEventNotification(QString ID, QJsonObject log, bool full_log){
  Q_UNUSED(full_log);
  //NOTE: There might be a random string on the end of the ID (to accomodate similar process calls)
  // == sysadm/iohyve ==
  return QJsonObject();
}
