#include "dispatcher.h"

#include <QDateTime>
#include <QJsonArray>
#include <QSharedPointer>
#include <QThread>
#include <QTimer>

#include <cstdlib>
#include <iostream>

static QString now(){ return QDateTime::currentDateTime().toString(Qt::ISODate); }

void Dispatcher::queueProcess(QString id, QString command){
  QMetaObject::invokeMethod(this, [this, id, command](){
    if(jobs.contains(id)){
      std::cerr << "the job " << id.toStdString() << " was queued twice" << std::endl;
      abort();
    }
    total++;
    jobs.insert(id, NULL);
    QTimer::singleShot(30, this, [this, id, command](){ start(id, command); });
  }, Qt::QueuedConnection);
}

bool Dispatcher::isJobActive(QString id){
  if(QThread::currentThread()!=thread()){
    std::cerr << "isJobActive was called in another thread than the dispatcher's" << std::endl;
    abort();
  }
  return jobs.contains(id);
}

void Dispatcher::start(const QString &id, const QString &command){
  QProcess *process = new QProcess(this);
  jobs[id] = process;
  process->setProcessChannelMode(QProcess::MergedChannels);
  QSharedPointer<QJsonObject> log(new QJsonObject());
  log->insert("process_id", id);
  log->insert("cmd_list", QJsonArray() << command);
  log->insert("state", "running");
  log->insert("time_started", now());
  log->insert("current_cmd", command);
  onLog(id, *log);

  QObject::connect(process, &QProcess::readyReadStandardOutput, this, [this, id, command, process, log](){
    QString news = process->readAllStandardOutput();
    log->insert(command, log->value(command).toString()+news);
    QJsonObject increment = *log;
    increment.insert(command, news);
    onLog(id, increment);
  });
  std::function<void(int)> end = [this, id, command, process, log](int code){
    if(!jobs.remove(id)){ return; } // both of QProcess's ends may come
    log->insert(command, log->value(command).toString()+process->readAllStandardOutput());
    log->insert("return_codes/"+command, QString::number(code));
    log->insert("state", "finished");
    log->insert("time_finished", now());
    log->remove("current_cmd");
    process->deleteLater();
    onLog(id, *log);
  };
  QObject::connect(process, static_cast<void(QProcess::*)(int, QProcess::ExitStatus)>(&QProcess::finished),
                   this, [end](int code, QProcess::ExitStatus){ end(code); });
  QObject::connect(process, &QProcess::errorOccurred, this,
                   [end](QProcess::ProcessError error){ if(error==QProcess::FailedToStart){ end(-1); } });
  // What QProcess::start(QString) does with it in the server.
  QStringList words = QProcess::splitCommand(command);
  process->start(words.takeFirst(), words);
}
